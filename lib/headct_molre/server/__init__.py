"""What the server needs that is neither MONAI Label nor HTTP: its configuration, and who may do what."""
