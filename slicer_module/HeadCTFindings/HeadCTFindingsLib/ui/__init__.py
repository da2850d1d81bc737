"""What the reader sees: widgets that take plain objects of the core and say through signals what was done; no HTTP, no MRML."""
