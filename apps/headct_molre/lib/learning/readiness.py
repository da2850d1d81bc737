"""Whether there is enough to learn from, before anything is started."""

from typing import Literal

from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError
from headct_molre.schema import Contract
from headct_molre.training.finetune import FineTuneConfig


class TrainingSummary(Contract):
    """What a training would learn from now, and whether one can be started.

    Corrections are studies with a label; `trainable` of them may train, `held_out` are for the gate; `random_share` of all were drawn at
    random. `new_since_champion` came after those that the served version knew. `running` is the job of this model that runs or waits.
    """

    ready: bool
    reason: str | None
    corrections: int
    trainable: int
    held_out: int
    random_share: float
    new_since_champion: int
    minimum_corrections: int
    decision: Literal["automatic", "person"]
    running: str | None
    modes: list[Literal["quick", "full"]] = ["quick", "full"]


def check_ready(store: StudyStore, model: str, config: FineTuneConfig) -> None:
    """Raises HeadCTError `too_few_corrections` (409) with the counts, ModelUnavailable."""
