"""Metrics that say "not estimable" where the data cannot tell."""
