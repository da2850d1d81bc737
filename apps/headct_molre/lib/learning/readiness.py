"""What a training would learn from, and whether that is enough, before anything is started."""

import re
from dataclasses import dataclass
from typing import Literal

from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError
from headct_molre.models.checkpoint import load_card
from headct_molre.schema import Contract, ModelCard
from headct_molre.training.finetune import FineTuneConfig
from headct_molre.training.finetune.corrections import Correction, read_corrections
from headct_molre.training.finetune.split import Split, check_trainable, split_corrections, usable

Decision = Literal["automatic", "person"]
_TUNED = re.compile(r"-c(\d+)-[0-9a-f]{8}$")  # the end of the name of a version that was tuned on submissions up to this sequence


class TrainingSummary(Contract):
    """What a training would learn from now, and whether one can be started; `reason` says why not.

    Corrections are studies with a label; `trainable` of them may train, `held_out` are for the gate; `random_share` of all were offered at
    random. `new_since_champion` have a submission that the served version did not know. `running` is the job of this model that runs or
    waits.
    """

    ready: bool
    reason: str | None
    corrections: int
    trainable: int
    held_out: int
    random_share: float
    new_since_champion: int
    minimum_corrections: int
    decision: Decision
    running: str | None
    modes: tuple[Literal["quick", "full"], ...] = ("quick", "full")


@dataclass(frozen=True)
class Readiness:
    """The corrections up to the submission of sequence `until`, and how they are split."""

    until: int
    corrections: list[Correction]
    split: Split

    def check(self, config: FineTuneConfig) -> None:
        """Raises HeadCTError `too_few_corrections` or `one_class_only` (409), with the counts."""
        try:
            check_trainable(self.split.trained, config)
        except HeadCTError as error:
            counts = (
                f"There are {len(self.corrections)} corrected studies: {len(self.split.trained)} to learn from, "
                f"{len(self.split.held_out)} held out for the gate, {len(self.split.set_aside)} set aside as they are of the same patients."
            )
            raise HeadCTError(error.code, f"{error.message} {counts}", field=error.field, status=409) from None


def readiness(store: StudyStore, config: FineTuneConfig, rule: str) -> Readiness:
    """Of everything that was submitted until now. Raises StoreUnavailable."""
    until = store.submissions.last_sequence()
    corrections = usable(read_corrections(store, until, rule), config)
    return Readiness(until, corrections, split_corrections(corrections, config.held_out_share))


def summarise(store: StudyStore, model: str, config: FineTuneConfig, rule: str, decision: Decision) -> TrainingSummary:
    """The summary of a model. Raises StoreUnavailable."""
    found = readiness(store, config, rule)
    running = store.jobs.list(1, kind="train", states=["running", "queued"], model=model)
    reason, known = None, 0
    try:
        known = _known(load_card(model))
        found.check(config)
    except HeadCTError as error:
        reason = error.message
    newer = store.submissions.studies_after(known)
    return TrainingSummary(
        ready=reason is None,
        reason=reason,
        corrections=len(found.corrections),
        trainable=len(found.split.trained),
        held_out=len(found.split.held_out),
        random_share=sum(one.random for one in found.corrections) / max(1, len(found.corrections)),
        new_since_champion=sum(one.study in newer for one in found.corrections),
        minimum_corrections=config.minimum_corrections,
        decision=decision,
        running=running[0].job_id if running else None,
    )


def _known(card: ModelCard) -> int:
    """The last submission that a version knew; 0 for one that was trained on something else."""
    tuned = None if card.parent is None else _TUNED.search(card.version)
    return 0 if tuned is None else int(tuned[1])
