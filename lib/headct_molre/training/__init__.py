"""Losses, the training of the shipped demo model and, later, training on cohorts."""
