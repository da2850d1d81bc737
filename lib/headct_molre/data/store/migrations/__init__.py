"""Alembic's scripts; each stands for itself and imports nothing of the package, which changes under it."""
