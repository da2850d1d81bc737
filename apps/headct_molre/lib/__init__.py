"""Thin adapters between MONAI Label and the headct_molre library, under the names that MONAI Label gives them."""
