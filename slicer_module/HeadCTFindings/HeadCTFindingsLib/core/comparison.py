"""What changed on one study from one version's prediction to the next one's."""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import Catalogue
from .errors import NotReadable
from .prediction import PredictionView
from .rows import percent

LEAST = 0.01  # of probability; less is not worth a line


@dataclass(frozen=True)
class Shift:
    """One finding before and after; None where a version does not assess it."""

    key: str
    before: float | None
    after: float | None
    was_positive: bool
    is_positive: bool

    @property
    def crossed(self) -> bool:
        """Whether it went over its threshold, or below."""
        return self.was_positive != self.is_positive

    @property
    def change(self) -> float:
        """Of the probability, 0 where a version has none."""
        return 0.0 if self.before is None or self.after is None else self.after - self.before

    def text(self, catalogue: Catalogue) -> str:
        """One line: never "ruled out" for what is no longer detected."""
        before, after = (("not assessed" if value is None else percent(value)) for value in (self.before, self.after))
        note = ""
        if self.crossed:
            note = ", now above threshold" if self.is_positive else ", no longer above threshold, not ruled out"
        return f"{catalogue.name(self.key)}: {before} → {after}{note}"


def shifts(before: PredictionView, after: PredictionView) -> tuple[Shift, ...]:
    """What changed, threshold crossings first, then the largest. Raises NotReadable for predictions on two studies."""
    if before.study != after.study:
        raise NotReadable(f"these are predictions on two studies, {before.study} and {after.study}")
    found = []
    for key in after.keys:
        old, new = (_probability(view, key) for view in (before, after))
        shift = Shift(key, old, new, _positive(before, key), _positive(after, key))
        if shift.crossed or (old is None) != (new is None) or abs(shift.change) >= LEAST:
            found.append(shift)
    return tuple(sorted(found, key=lambda shift: (not shift.crossed, -abs(shift.change))))


def summary(before: PredictionView, after: PredictionView) -> str:
    """One line above the list of shifts."""
    if (before.model, before.version) == (after.model, after.version):
        return f"Both are by {after.title}."
    found = shifts(before, after)
    up, down = (sum(shift.crossed and shift.is_positive is way for shift in found) for way in (True, False))
    return (
        f"{before.title} → {after.title}: {up} newly above threshold, {down} no longer, {len(found) - up - down} others moved by "
        f"{100 * LEAST:.0f} % or more."
    )


def _probability(view: PredictionView, key: str) -> float | None:
    if key not in view.keys or not view.estimable[view.index(key)]:
        return None
    return float(view.probability[view.index(key)])


def _positive(view: PredictionView, key: str) -> bool:
    return key in view.keys and bool(view.positive[view.index(key)])
