"""Our routes: MONAI Label's own names with checked input, and those that it lacks under /headct/."""
