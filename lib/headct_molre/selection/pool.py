"""What selection knows of the studies that may be offered: cached arrays, and nothing of a patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..errors import InvalidRequest
from ..findings import finding_keys

# Readers' states that are a vote; what was not assessed is none.
VOTES = ("absent", "present", "uncertain")


@dataclass(frozen=True)
class LinearHead:
    """Logits (n, F) of pooled features (n, d) by `weight` (F, d) and `bias` (F,), as the classifier's head gives them."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Logits (n, F) of features (n, d)."""
        return np.asarray(features @ self.weight.T + self.bias)


@dataclass(frozen=True)
class Votes:
    """Readers' votes, one for each entry: the `rows` (V,) of their studies, the `findings` (V,) as columns, `states` (V,) as in `VOTES`."""

    rows: np.ndarray
    findings: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Pool:
    """The studies (N) that may be offered, and what a model says of them.

    `probabilities` (N, F) float32 of the findings `keys`, in taxonomy order; `estimable` (F,) whether the model can be asked about a
    finding: columns of the others count for nothing, but hold numbers from 0 to 1 as well. `positives` (F,) studies were labelled present
    so far. `features` (N, d) describe a study as a whole, `logits_of` takes them to logits (n, F), `votes` are those of readers: each is
    needed by some strategies only. Raises InvalidRequest that names the array that does not fit.
    """

    probabilities: np.ndarray
    estimable: np.ndarray
    positives: np.ndarray
    features: np.ndarray | None = None
    logits_of: Callable[[np.ndarray], np.ndarray] | None = None
    votes: Votes | None = None
    keys: tuple[str, ...] = field(default_factory=finding_keys)

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        if len(shape) != 2 or shape[1] != len(self.keys):
            raise _invalid("probabilities", f"has the shape {shape}; it needs a row for each study and {len(self.keys)} columns")
        for name, array in (("estimable", self.estimable), ("positives", self.positives)):
            if array.shape != (len(self.keys),):
                raise _invalid(name, f"has the shape {array.shape}; it needs a value for each of {len(self.keys)} findings")
        # A comparison with NaN is false, so that NaN is refused as well.
        if len(self) and not (self.probabilities.min() >= 0 and self.probabilities.max() <= 1):
            raise _invalid("probabilities", "holds a value that is not a number from 0 to 1")
        if not (np.isfinite(self.positives).all() and (self.positives >= 0).all()):
            raise _invalid("positives", "holds a value that is not a count")
        if self.features is not None and (self.features.ndim != 2 or len(self.features) != len(self)):
            raise _invalid("features", f"has the shape {self.features.shape}; it needs a row for each of {len(self)} studies")
        if self.votes is not None:
            self._check_votes(self.votes)

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def rarity(self) -> np.ndarray:
        """Weight (F,) float32 of a finding: 1 / sqrt(positives seen + 1), and 0 where the model cannot be asked."""
        return np.asarray(np.where(self.estimable, 1 / np.sqrt(self.positives + 1.0), 0.0), np.float32)

    def features_for(self, strategy: str) -> np.ndarray:
        """The features. Raises InvalidRequest that names the strategy where the pool has none."""
        if self.features is None:
            raise InvalidRequest(
                "features_missing",
                f"The strategy {strategy} needs cached features of all studies: compute them first, or choose another strategy.",
                field="strategy",
            )
        return self.features

    def _check_votes(self, votes: Votes) -> None:
        limits = {"rows": len(self), "findings": len(self.keys), "states": len(VOTES)}
        for name, limit in limits.items():
            values = getattr(votes, name)
            if values.shape != votes.rows.shape or values.ndim != 1:
                raise _invalid("votes", "has columns of different lengths")
            if len(values) and not (values.min() >= 0 and values.max() < limit):
                raise _invalid("votes", f"names {name} outside of 0 to {limit - 1}")


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest("invalid_pool", f"The array {field} {problem}.", field=field)
