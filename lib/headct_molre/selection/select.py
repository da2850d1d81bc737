"""The studies to offer: most by a strategy, some at random, each with a sentence that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidRequest, NotFound
from ..findings import finding
from .pool import Pool
from .ranking import Ranking
from .rare import rare_positives
from .readers import disagreement
from .typical import typical
from .uncertainty import bald, margin, rarity_entropy

RANDOM_SHARE = 0.15
SMALLEST_RANDOM_SHARE, LARGEST_RANDOM_SHARE = 0.10, 0.25
FINDINGS_NAMED = 3
BY_CHANCE = "Drawn at random, whatever the model says"


@dataclass(frozen=True)
class Strategy:
    """An acquisition function, what it is for, and how its reason begins."""

    rank: Callable[[Pool, int, np.random.Generator], Ranking]
    description: str
    reason: str


@dataclass(frozen=True)
class Reason:
    """Why a study is offered: a sentence for a reader, and the share, 0 to 1, of the findings that speak most for it."""

    sentence: str
    shares: dict[str, float]


@dataclass(frozen=True)
class Chosen:
    """A row of the pool to offer; `random` ones were drawn from all studies with no regard to any score."""

    row: int
    random: bool
    why: Reason


def by_chance(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """Any study, each with the same chance."""
    return Ranking(rng.choice(len(pool), min(count, len(pool)), replace=False))


DEFAULT_STRATEGY = "rarity_entropy"
STRATEGIES = {
    "rarity_entropy": Strategy(rarity_entropy, "Uncertain findings, the rare ones first", "Rare and uncertain"),
    "rare_positives": Strategy(rare_positives, "Probable rare findings, in studies unlike each other", "Rare and probable"),
    "margin": Strategy(margin, "Many close calls", "Close calls"),
    "bald": Strategy(bald, "Studies on which slightly different models contradict each other", "The model contradicts itself"),
    "typical": Strategy(typical, "Typical studies, for the start", "Typical of the studies here"),
    "disagreement": Strategy(disagreement, "Studies on which readers disagree", "Readers disagree"),
    "random": Strategy(by_chance, "Any study, each with the same chance", BY_CHANCE),
}


def select(strategy: str, pool: Pool, count: int, rng: np.random.Generator, random_share: float = RANDOM_SHARE) -> list[Chosen]:
    """Up to `count` studies to offer: `random_share` of them drawn from all first, the rest by the strategy from those not drawn.

    The share holds on average to the letter, also where one study is asked for at a time: what is left of a whole number is a chance.
    The same pool and state of `rng` give the same studies. Drawn and scored ones are mixed, so that their place says nothing.
    Raises NotFound for an unknown strategy, InvalidRequest for a share outside of 0.10 to 0.25, a count below 1, or what a strategy lacks.
    """
    _check(strategy, count)
    if not SMALLEST_RANDOM_SHARE <= random_share <= LARGEST_RANDOM_SHARE:
        limits = f"{SMALLEST_RANDOM_SHARE:g} to {LARGEST_RANDOM_SHARE:g}"
        message = f"random_share is {limits}, not {random_share:g}: gate and prevalences need studies that no score chose."
        raise InvalidRequest("invalid_argument", message, field="random_share")
    if not len(pool):
        return []
    wanted = min(count, len(pool))
    number = wanted if strategy == "random" else int(np.floor(wanted * random_share + rng.random()))
    drawn = rng.choice(len(pool), number, replace=False)
    chosen = [Chosen(int(row), True, Reason(f"{BY_CHANCE}.", {})) for row in drawn]
    if number < wanted:
        # As many as are wanted in all, because those that were drawn may be among them.
        scored = [one for one in ranked(strategy, pool, wanted, rng) if one.row not in set(drawn.tolist())]
        chosen = _mixed(scored[: wanted - number], chosen, rng)
    return chosen


def ranked(strategy: str, pool: Pool, count: int, rng: np.random.Generator) -> list[Chosen]:
    """Up to `count` studies by the strategy alone, the first to be read first, none drawn at random but by the strategy `random`.

    Raises what `select` raises.
    """
    _check(strategy, count)
    if not len(pool):
        return []
    used = STRATEGIES[strategy]
    ranking = used.rank(pool, min(count, len(pool)), rng)
    parts = [None] * len(ranking.rows) if ranking.parts is None else ranking.parts
    at_random = strategy == "random"
    return [Chosen(int(row), at_random, _reason(used, parts[place], pool)) for place, row in enumerate(ranking.rows)]


def _check(strategy: str, count: int) -> None:
    if strategy not in STRATEGIES:
        raise NotFound("unknown_strategy", f"There is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}.", field="strategy")
    if count < 1:
        raise InvalidRequest("invalid_argument", f"count is the number of studies to offer, 1 or more, not {count}.", field="count")


def _mixed(scored: list[Chosen], drawn: list[Chosen], rng: np.random.Generator) -> list[Chosen]:
    """Both in one list, each in its own order, the drawn ones at random places."""
    total = len(scored) + len(drawn)
    places = set(rng.choice(total, len(drawn), replace=False).tolist())
    rest, others = iter(scored), iter(drawn)
    return [next(others) if place in places else next(rest) for place in range(total)]


def _reason(strategy: Strategy, parts: np.ndarray | None, pool: Pool) -> Reason:
    """The three findings with the largest parts (F,) of the score; a finding without any part is not named."""
    total = 0.0 if parts is None else float(parts.sum())
    if parts is None or total <= 0:
        return Reason(f"{strategy.reason}.", {})
    largest = np.argsort(-parts, kind="stable")[:FINDINGS_NAMED]
    shares = {pool.keys[column]: float(parts[column]) / total for column in largest if parts[column] > 0}
    named = ", ".join(f"{finding(key).display_name} {share:.0%}".replace("%", " %") for key, share in shares.items())
    return Reason(f"{strategy.reason}: {named}.", shares)
