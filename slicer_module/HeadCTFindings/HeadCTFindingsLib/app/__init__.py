"""What is behind the panels: connection, study, corrections and learning as states, without Qt and MRML."""
