"""MONAI Label trainers, one for each model."""
