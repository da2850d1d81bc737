"""MRML and VTK: the slice view, what lies over it, the layout, and volumes on their way."""
