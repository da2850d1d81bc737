"""A number of an evaluation with its interval, or none with the reason why."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import FiniteFloat, model_validator
from scipy.special import ndtri

from ..schema import Contract

CONFIDENCE = 0.95
# Standard normal quantile of a two-sided interval at `CONFIDENCE`.
Z = float(ndtri((1 + CONFIDENCE) / 2))


class Estimate(Contract):
    """`value` with the 95 % interval from `low` to `high`; what is null has a `reason`, and a value may come without an interval."""

    value: FiniteFloat | None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Estimate:
        if self.value is None and not self.reason:
            raise ValueError("an estimate without a value needs a reason")
        if (self.low is None) != (self.high is None) or (self.value is None and self.low is not None):
            raise ValueError("an interval has two ends and a value")
        return self


@dataclass(frozen=True)
class NotEstimable:
    """Why the data cannot tell, as a sentence for a reader."""

    reason: str

    @property
    def estimate(self) -> Estimate:
        """The null that carries the reason."""
        return Estimate(value=None, reason=self.reason)
