"""The gate between a trained candidate and the served champion."""

from .document import GateReport
from .held_out import HeldOut, held_out
from .judge import judge
from .policy import GatePolicy

__all__ = ["GatePolicy", "GateReport", "HeldOut", "held_out", "judge"]
