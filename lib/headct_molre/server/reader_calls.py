"""What readers said of all studies, kept in memory and added to: how often each finding was labelled present, and where they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np

from ..data.store.labels import derive_label
from ..data.store.reading_history import Reading
from ..findings import finding_keys
from ..selection.pool import VOTES, Votes

_COLUMNS = {key: column for column, key in enumerate(finding_keys())}
_STATES = {state: number for number, state in enumerate(VOTES)}


class ReaderCalls:
    """`positives` (75,) counts the studies whose label, by the store's rule, says present."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._readings: dict[str, dict[str, Reading]] = {}
        self._present: dict[str, list[int]] = {}
        self._votes: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # of the studies on which readers disagree
        self._closed: set[str] = set()
        self.positives = np.zeros(len(_COLUMNS), np.int64)

    def add(self, readings: Collection[Reading]) -> None:
        """Readings in order of arrival; a reader's later one takes the place of their earlier one."""
        for reading in readings:
            by_reader = self._readings.setdefault(reading.study, {})
            by_reader.pop(reading.reader, None)  # so that the order is that of the latest readings
            by_reader[reading.reader] = reading
        for study in {reading.study for reading in readings}:
            by_reader = self._readings[study]
            label = derive_label(by_reader.values(), self._rule)
            self.positives[self._present.pop(study, [])] -= 1
            self._present[study] = [_COLUMNS[key] for key, state in label.items() if state == "present" and key in _COLUMNS]
            self.positives[self._present[study]] += 1
            self._votes.pop(study, None)
            if len(by_reader) > 1 and (votes := _votes(by_reader.values())) is not None:
                self._votes[study] = votes

    def note_open(self, study: str, is_open: bool) -> None:
        """Notes whether a study that was read can be offered."""
        (self._closed.discard if is_open else self._closed.add)(study)

    def disagreements(self, hidden: Collection[str]) -> tuple[list[str], Votes]:
        """Open studies, but for the hidden ones, that readers read and not alike, and the votes on what they differ in, by place."""
        names = [study for study in self._votes if study not in self._closed and study not in hidden]
        columns, states = [self._votes[name][0] for name in names], [self._votes[name][1] for name in names]
        rows = np.repeat(np.arange(len(names)), [len(one) for one in columns])
        nothing = [np.empty(0, np.int64)]
        return names, Votes(rows, np.concatenate(columns or nothing), np.concatenate(states or nothing))


def _votes(readings: Collection[Reading]) -> tuple[np.ndarray, np.ndarray] | None:
    """Columns and states of the votes on findings on which readers disagree, the only ones that have an entropy; None where all agree."""
    cast = [
        (_COLUMNS[key], _STATES[state])
        for reading in readings
        for key, state in reading.findings.items()
        if state in _STATES and key in _COLUMNS
    ]
    answers = Counter(column for column, _ in set(cast))
    pairs = np.array([vote for vote in cast if answers[vote[0]] > 1], np.int64)
    return (pairs[:, 0], pairs[:, 1]) if len(pairs) else None
