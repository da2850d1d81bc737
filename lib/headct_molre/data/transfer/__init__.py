"""Moving what a store holds: import and export of labels, backup and restore of everything, and the check of a store."""

from .backup import back_up
from .restore import restore

__all__ = ["back_up", "restore"]
