"""Studies, labels and synthetic phantoms."""
