"""Whether there is enough to learn from, before anything is started."""

from typing import Literal

from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError
from headct_molre.models.checkpoint import load_card
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
    modes: tuple[Literal["quick", "full"], ...] = ("quick", "full")


def summarise(store: StudyStore, model: str, config: FineTuneConfig, decision: Literal["automatic", "person"]) -> TrainingSummary:
    """The summary of a model. Raises StoreUnavailable."""
    running = store.jobs.list(1, kind="train", states=["running", "queued"], model=model)
    corrections = len(store.submissions.counts())
    reason: str | None = None
    try:
        load_card(model)
        _check_count(corrections, 0, corrections, config.minimum_corrections)
    except HeadCTError as error:
        reason = error.message
    return TrainingSummary(
        ready=reason is None,
        reason=reason,
        corrections=corrections,
        trainable=corrections,
        held_out=0,
        random_share=0.0,
        new_since_champion=corrections,
        minimum_corrections=config.minimum_corrections,
        decision=decision,
        running=running[0].job_id if running else None,
    )


def check_ready(store: StudyStore, model: str, config: FineTuneConfig) -> None:
    """Raises HeadCTError `too_few_corrections` (409) with the counts, ModelUnavailable."""
    load_card(model)
    corrections = len(store.submissions.counts())
    _check_count(corrections, 0, corrections, config.minimum_corrections)


def _check_count(trainable: int, held_out: int, corrections: int, minimum: int) -> None:
    if trainable < minimum:
        message = (
            f"There are {corrections} corrected studies: {trainable} to learn from, of at least {minimum}, and {held_out} that are held "
            "out for the gate. Read more studies, then train."
        )
        raise HeadCTError("too_few_corrections", message, status=409)
