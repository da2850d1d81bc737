"""Everything that needs neither Qt, VTK nor MRML: standard library and numpy only, on Slicer's own Python."""

VERSION = "0.1.0"
CLIENT = f"HeadCTFindings {VERSION}"  # as the server sees this module
