"""Which study to read next: acquisition functions over cached probabilities and features, each with its reason. Needs no torch."""

from .live import LivePool
from .pool import LinearHead, Pool, Votes
from .select import BY_CHANCE, DEFAULT_STRATEGY, STRATEGIES, Chosen, Reason, Strategy, ranked, select

__all__ = [
    "BY_CHANCE",
    "DEFAULT_STRATEGY",
    "STRATEGIES",
    "Chosen",
    "LinearHead",
    "LivePool",
    "Pool",
    "Reason",
    "Strategy",
    "Votes",
    "ranked",
    "select",
]
