"""How a cell of a finding says its state: by its word, as in CheXbert by 1, 0, -1, or empty for not assessed."""

from __future__ import annotations

from .cohort import ABSENT, NOT_ASSESSED, PRESENT, STATES, UNCERTAIN

# What no cell means; never in a Cohort.
UNKNOWN = 255
REMEDY = "is no state; write present, absent, uncertain or not_assessed (or 1, 0, -1 or nothing)"
_MEANINGS = {
    "": NOT_ASSESSED,
    **{word: code for code, word in enumerate(STATES)},
    "not assessed": NOT_ASSESSED,
    **dict.fromkeys(("1", "1.0"), PRESENT),
    **dict.fromkeys(("0", "0.0"), ABSENT),
    **dict.fromkeys(("-1", "-1.0"), UNCERTAIN),
}


class StateCells(dict[str, int]):
    """The state of every spelling met so far, so that five million cells cost one look-up each."""

    def __missing__(self, cell: str) -> int:
        code = _MEANINGS.get(cell.strip().lower(), UNKNOWN)
        if len(self) < 10_000 and len(cell) < 100:
            self[cell] = code
        return code
