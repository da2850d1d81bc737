"""Which study to read next: acquisition functions over cached probabilities and features, each with its reason. Needs no torch."""

from .pool import LinearHead, Pool, Votes
from .select import DEFAULT_STRATEGY, STRATEGIES, Chosen, Reason, Strategy, select

__all__ = ["DEFAULT_STRATEGY", "STRATEGIES", "Chosen", "LinearHead", "Pool", "Reason", "Strategy", "Votes", "select"]
