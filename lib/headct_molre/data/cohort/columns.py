"""The columns of a manifest: their names, and which one an unknown name may have meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import cache

from ...findings import finding_keys, findings
from .problems import Problems

STUDY_COLUMNS = (
    "study",
    "path",
    "patient",
    "split",
    "site",
    "scanner",
    "sex",
    "age_years",
    "slice_thickness_mm",
    "series_uid",
    "synthetic",
    "readers",
)
MOST_COLUMNS = 1000


def resolve_columns(header: Sequence[str], patients_are_studies: bool, problems: Problems) -> list[str]:
    """The column of a manifest that each name of its header stands for; see `known_columns`. `path` and `patient` may not be missing."""
    names = known_columns(header, STUDY_COLUMNS, problems)
    if len(header) > MOST_COLUMNS:
        return names
    if "path" not in names:
        problems.add(1, "path", None, "is missing; it says where each study's images are")
    if "patient" not in names and not patients_are_studies:
        remedy = "or, where each study is a patient of its own, say so with --patients-are-studies"
        problems.add(1, "patient", None, f"is missing; without it a patient could be in two splits. Add it, {remedy}")
    return names


def known_columns(header: Sequence[str], own: Collection[str], problems: Problems) -> list[str]:
    """The finding or `own` column that each name of a header stands for; letter case and spaces around it do not count.

    Names that are unknown, doubled or empty are noted as problems, and the result is then not to be used.
    """
    if len(header) > MOST_COLUMNS:
        problems.add(1, None, None, f"the first row has {len(header)} columns; at most {MOST_COLUMNS} are read")
        return []
    known = {*own, *finding_keys()}
    names = [name.strip().lower() for name in header]
    for position, (name, written) in enumerate(zip(names, header, strict=True), 1):
        if not name or name.startswith(("unnamed:", "__index_level_")):
            problems.add(1, f"number {position}", None, "has no name; delete it (pandas writes none with index=False)")
        elif name not in known:
            problems.add(1, _short(written), None, _unknown(name, tuple(own)))
        elif name in names[: position - 1]:
            problems.add(1, name, None, f"stands twice, as columns {names.index(name) + 1} and {position}; keep one of them")
    return names


def _unknown(name: str, own: tuple[str, ...]) -> str:
    words = _words(own)
    nearest = get_close_matches(_plain(name), words, 1)
    return "is unknown" + (f"; did you mean {words[nearest[0]]}?" if nearest else "; delete it, or give it the key of a finding")


@cache
def _words(own: tuple[str, ...]) -> dict[str, str]:
    """The column that a word means: its own name, and a finding's display name and synonyms."""
    words: dict[str, str] = {}
    for finding in findings():
        words |= {_plain(word): finding.key for word in (*finding.synonyms, finding.display_name, finding.key)}
    return words | {name: name for name in own}


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")[:100]


def _short(name: str) -> str:
    shown = name if len(name) <= 40 else name[:40] + "..."
    return shown if shown.isprintable() else ascii(shown)
