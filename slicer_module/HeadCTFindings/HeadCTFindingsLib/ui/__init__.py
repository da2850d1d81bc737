"""Widgets and panels. They take plain objects, tell what happened through signals, and never speak with the server."""
