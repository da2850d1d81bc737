"""The studies that may be offered, in arrays that are changed row by row: 72,756 of them are 130 MB, which no request copies."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


class LivePool:
    """Open studies by name, with `probabilities` (N, F) float32 and `features` (N, d) float16, which count where `featured` (N,) is true.

    The order of the rows means nothing and changes. Not safe to share between threads without a lock.
    """

    def __init__(self, names: Sequence[str], probabilities: np.ndarray, features: np.ndarray, featured: np.ndarray) -> None:
        self.names = list(names)
        self._arrays = [probabilities, features, featured]
        self._rows = {name: row for row, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    @property
    def any_features(self) -> bool:
        """Whether any study has features."""
        return bool(self._arrays[2][: len(self.names)].any())

    def put(self, names: Sequence[str], probabilities: np.ndarray, features: np.ndarray, featured: np.ndarray) -> None:
        """Adds studies, or changes those that are here. Features of another dimension than those here count as none."""
        if features.shape[1] != self._arrays[1].shape[1]:
            if not self._arrays[2].any():  # no study has had any so far
                self._arrays[1] = np.zeros((len(self._arrays[2]), features.shape[1]), features.dtype)
            else:
                features, featured = np.zeros((len(names), self._arrays[1].shape[1]), features.dtype), np.zeros(len(names), bool)
        for name in names:
            if name not in self._rows:
                self._rows[name] = len(self.names)
                self.names.append(name)
        rows = [self._rows[name] for name in names]
        self._make_room()
        for array, values in zip(self._arrays, (probabilities, features, featured), strict=True):
            array[rows] = values

    def drop(self, names: Collection[str]) -> None:
        """Takes studies out."""
        left = self._to_end(names, len(self.names))
        for name in self.names[left:]:
            del self._rows[name]
        del self.names[left:]

    def visible(self, hidden: Collection[str], with_features: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, F) and features (n, d) of the studies that are not hidden and, if asked so, have features: rows 0 to n - 1.

        They are views, good until the next change; `names` of the same rows are theirs.
        """
        left = self._to_end(hidden, len(self.names))
        if with_features:
            without = np.flatnonzero(~self._arrays[2][:left])
            left = self._to_end([self.names[row] for row in without], left) if len(without) < left else 0
        return self._arrays[0][:left], self._arrays[1][:left]

    def _make_room(self) -> None:
        """Grows by a half at a time, so that what arrives one by one is not copied each time."""
        if len(self.names) > len(self._arrays[0]):
            more = max(len(self.names) - len(self._arrays[0]), len(self._arrays[0]) // 2, 64)
            self._arrays = [np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)]) for array in self._arrays]

    def _to_end(self, names: Collection[str], end: int) -> int:
        """Brings studies to the last of the first `end` rows, by exchange with those there; returns where they begin."""
        rows = {self._rows[name] for name in names if self._rows.get(name, end) < end}
        begin = end - len(rows)
        here, there = sorted(row for row in rows if row < begin), [row for row in range(begin, end) if row not in rows]
        if here:
            for array in self._arrays:
                array[here + there] = array[there + here]
            for one, other in zip(here, there, strict=True):
                self.names[one], self.names[other] = self.names[other], self.names[one]
                self._rows[self.names[one]], self._rows[self.names[other]] = one, other
        return begin
