"""Which study to read next."""
