"""Everything that needs neither Qt, VTK nor MRML: standard library and numpy only, on Slicer's own Python."""
