"""Head CT Findings: what the module of 3D Slicer is made of."""
