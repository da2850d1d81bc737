"""The taxonomy: 75 findings on non-contrast head CT, looked up by their stable key."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

from .errors import NotFound

CATEGORIES = ("Hemorrhage", "Vascular", "Trauma", "Mass/Lesion", "Structural", "Chronic/Other")
ACUITIES = ("critical", "urgent", "routine")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `hu_windows` are viewing presets, SNOMED CT and RadLex codes are None where no exact code is known."""

    index: int
    key: str
    display_name: str
    category: str
    definition: str
    synonyms: tuple[str, ...]
    acuity: str
    laterality: bool
    hu_windows: tuple[str, ...]
    radlex_rid: str | None
    radlex_label: str | None
    snomed_ct: str | None
    snomed_label: str | None

    def to_json(self) -> dict[str, object]:
        """A plain dictionary, as `/headct/findings` sends it."""
        return asdict(self)


@cache
def findings() -> tuple[Finding, ...]:
    """All findings in taxonomy order."""
    text = (files("headct_molre") / "findings.csv").read_text(encoding="utf-8")
    return tuple(_parse(row) for row in csv.DictReader(text.splitlines()))


@cache
def _by_key() -> dict[str, Finding]:
    return {finding.key: finding for finding in findings()}


def finding(key: str) -> Finding:
    """The finding with this key. Raises NotFound that names the unknown key."""
    try:
        return _by_key()[key]
    except KeyError:
        raise NotFound("unknown_finding", f"There is no finding {key!r}; the keys are listed by /headct/findings.", field=key) from None


def finding_keys() -> tuple[str, ...]:
    """The 75 keys in taxonomy order."""
    return tuple(_by_key())


def positions(keys: Iterable[str], within: Iterable[str]) -> list[int]:
    """Position of each key inside another list of keys, so that weights are never indexed by position alone.

    Raises NotFound for a key that `within` does not hold.
    """
    where = {key: i for i, key in enumerate(within)}
    missing = [key for key in keys if key not in where]
    if missing:
        raise NotFound("unknown_finding", f"These findings are missing from the list of keys: {', '.join(missing)}.", field=missing[0])
    return [where[key] for key in keys]


def _parse(row: dict[str, str]) -> Finding:
    def split(text: str) -> tuple[str, ...]:
        return tuple(part for part in text.split("|") if part)

    return Finding(
        index=int(row["index"]),
        key=row["key"],
        display_name=row["display_name"],
        category=row["category"],
        definition=row["definition"],
        synonyms=split(row["synonyms"]),
        acuity=row["acuity"],
        laterality=row["laterality"] == "yes",
        hu_windows=split(row["hu_windows"]),
        radlex_rid=row["radlex_rid"] or None,
        radlex_label=row["radlex_label"] or None,
        snomed_ct=row["snomed_ct"] or None,
        snomed_label=row["snomed_label"] or None,
    )
