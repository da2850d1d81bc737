"""What MONAI Label calls an inference task."""
