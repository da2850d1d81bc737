"""The rows of the findings table: grouped, families together, above-threshold first, and filtered.

One bleed is not five alarms: intraparenchymal and basal ganglia hemorrhage stand together, and count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .calls import NOT_ASSESSED, Calls
from .catalogue import ACUITIES, Catalogue, Finding
from .prediction import PredictionView

Grouping = Literal["category", "acuity"]
WAITING = "no prediction yet"


@dataclass(frozen=True)
class Row:
    """One finding in the table.

    `probability` and `threshold` are None where the model says nothing of it; `positive` is whether it is above the threshold; `alarm`
    whether it counts by itself, since nothing above it does; `depth` is how far to indent; `statement` what may be said of it.
    """

    key: str
    name: str
    category: str
    acuity: str
    depth: int
    probability: float | None
    threshold: float | None
    positive: bool
    alarm: bool
    statement: str
    tooltip: str
    state: str
    windows: tuple[str, ...]

    @property
    def percent(self) -> str:
        """The probability as text: never 0 % or 100 %, which no model knows."""
        return "" if self.probability is None else percent(self.probability)


@dataclass(frozen=True)
class Group:
    """Rows below one heading; `alarms` counts families, not rows."""

    title: str
    rows: tuple[Row, ...]

    @property
    def alarms(self) -> int:
        """How many separate findings are above threshold."""
        return sum(row.alarm for row in self.rows)


def percent(probability: float) -> str:
    """A probability as a whole number of percent, "< 1 %" and "> 99 %" at the ends."""
    if probability < 0.01:
        return "< 1 %"
    if probability > 0.99:
        return "> 99 %"
    return f"{100 * probability:.0f} %"


def groups(
    catalogue: Catalogue,
    prediction: PredictionView | None = None,
    calls: Calls | None = None,
    by: Grouping = "category",
    text: str = "",
) -> tuple[Group, ...]:
    """The table: groups in their own order, in each the families above threshold first, a parent before its children.

    `text` filters: each of its words has to be part of a finding's name, key or synonyms. Groups without rows are left out.
    """
    words = text.lower().split()
    all_rows = _rows(catalogue, prediction, calls)
    titles: Sequence[str] = ACUITIES if by == "acuity" else catalogue.categories
    found = []
    for title in titles:
        members = [finding for finding in catalogue.findings if getattr(finding, by) == title]
        ordered = [row for row in _ordered(catalogue, members, all_rows) if catalogue[row.key].matches(words)]
        if ordered:
            found.append(Group(title, tuple(ordered)))
    return tuple(found)


def alarms(catalogue: Catalogue, prediction: PredictionView) -> tuple[str, ...]:
    """Keys of the findings above threshold that count by themselves, in the order of acuity, then of probability.

    A family is as urgent as its most urgent member above threshold: large ventricles with hydrocephalus are critical.
    """
    rows = _rows(catalogue, prediction, None)

    def rank(key: str) -> tuple[int, float]:
        family = [rows[key], *(row for row in rows.values() if row.positive and key in catalogue.ancestors(row.key))]
        return min((_urgency(row.acuity), -(row.probability or 0.0)) for row in family)

    return tuple(sorted((key for key, row in rows.items() if row.alarm), key=rank))


def headline(catalogue: Catalogue, prediction: PredictionView) -> str:
    """One line above the table: how much is above threshold, and what is most urgent of it."""
    above = alarms(catalogue, prediction)
    silent = int((~prediction.estimable).sum())
    if above:
        named = ", ".join(_named(catalogue, prediction, key) for key in above[:3])
        more = f" and {len(above) - 3} more" if len(above) > 3 else ""
        line = f"Above threshold: {named}{more}."
    else:
        line = "Nothing is above its threshold; that rules nothing out."
    silent_findings = "1 finding is" if silent == 1 else f"{silent} findings are"
    return line + (f" {silent_findings} not assessed by this model." if silent else "")


def _named(catalogue: Catalogue, prediction: PredictionView, key: str) -> str:
    """A finding with what is above threshold below it: all that is more urgent, else the most probable.

    The particular says more than the general, and nothing critical hides behind what is not.
    """
    below = [each for each in catalogue.findings if key in catalogue.ancestors(each.key) and each.key in prediction.keys]
    flagged = [each for each in below if prediction.positive[prediction.index(each.key)]]
    flagged.sort(key=lambda each: -float(prediction.probability[prediction.index(each.key)]))
    urgent = [each for each in flagged if _urgency(each.acuity) < _urgency(catalogue[key].acuity)]
    particular = urgent or flagged[:1]
    return catalogue.name(key) + (f" ({', '.join(each.name.lower() for each in particular)})" if particular else "")


def _urgency(acuity: str) -> int:
    """0 for critical; behind all others what the server knows and this module does not."""
    return ACUITIES.index(acuity) if acuity in ACUITIES else len(ACUITIES)


def _rows(catalogue: Catalogue, prediction: PredictionView | None, calls: Calls | None) -> dict[str, Row]:
    where = {} if prediction is None else {key: row for row, key in enumerate(prediction.keys)}
    positive = set() if prediction is None else {key for key, row in where.items() if prediction.positive[row]}
    return {finding.key: _row(catalogue, finding, prediction, where.get(finding.key), positive, calls) for finding in catalogue.findings}


def _row(
    catalogue: Catalogue, finding: Finding, prediction: PredictionView | None, where: int | None, positive: set[str], calls: Calls | None
) -> Row:
    probability = threshold = None
    statement = WAITING
    if prediction is not None and where is not None:
        statement = prediction.statement(finding.key)
        if prediction.estimable[where]:
            probability = float(prediction.probability[where])
            point = float(prediction.operating_point[where])
            threshold = None if np.isnan(point) else point
    lines = [finding.tooltip, statement.capitalize() + _figures(probability, threshold)]
    called = calls is not None and finding.key in calls.keys
    return Row(
        key=finding.key,
        name=finding.name,
        category=finding.category,
        acuity=finding.acuity,
        depth=0,
        probability=probability,
        threshold=threshold,
        positive=finding.key in positive,
        alarm=finding.key in positive and not positive & set(catalogue.ancestors(finding.key)),
        statement=statement,
        tooltip="\n".join(lines),
        state=calls.state(finding.key) if calls is not None and called else NOT_ASSESSED,
        windows=finding.windows,
    )


def _figures(probability: float | None, threshold: float | None) -> str:
    if probability is None:
        return "."
    return f": {percent(probability)}" + (f", threshold {percent(threshold)}." if threshold is not None else ".")


def _ordered(catalogue: Catalogue, members: Sequence[Finding], rows: dict[str, Row]) -> list[Row]:
    """Families in the order of their best member, a parent before its children, children in the same order among themselves."""
    inside = {finding.key for finding in members}

    def family(key: str, depth: int) -> list[Row]:
        children = [family(child, depth + 1) for child in catalogue.children(key) if child in inside]
        return [replace(rows[key], depth=depth), *(row for block in sorted(children, key=_rank) for row in block)]

    # A child whose parent is in another group stands by itself.
    roots = [finding.key for finding in members if finding.parent not in inside]
    return [row for block in sorted((family(key, 0) for key in roots), key=_rank) for row in block]


def _rank(block: Sequence[Row]) -> tuple[bool, float]:
    above = [row.probability or 0.0 for row in block if row.positive]
    return not above, -max(above or [row.probability or 0.0 for row in block])
