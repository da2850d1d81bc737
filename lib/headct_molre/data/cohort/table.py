"""A manifest as it was read: the text of the studies' columns and the states, before any of it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FIRST_ROW = 2


@dataclass
class Table:
    """Rows (N) of a manifest file.

    `rows` are their numbers as in a spreadsheet; `text` holds for each column of `STUDY_COLUMNS` that the file has its N cells without the
    spaces around them; `states` is (N, 75) uint8 in taxonomy order, findings without a column not assessed.
    """

    rows: list[int] = field(default_factory=list)
    text: dict[str, list[str]] = field(default_factory=dict)
    states: np.ndarray = field(default_factory=lambda: np.zeros((0, 75), np.uint8))
