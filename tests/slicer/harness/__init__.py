"""A stand-in for Slicer in which the module file runs unchanged: strict `qt`, real MRML scene, real events."""
