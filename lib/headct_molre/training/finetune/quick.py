"""Quick mode: MoLRE, pooling and head on stored features; a processor is enough."""

from __future__ import annotations

from pathlib import Path

from ...models.checkpoint import WEIGHTS
from ...models.weights import read_tensors
from ..examples import Examples
from .choice_file import read_choice, write_choice
from .config import FineTuneConfig
from .fit import Step, fit
from .inputs import Inputs, patients_of
from .job_files import CHECKPOINT, CHOICE
from .report_progress import Progress
from .strength import Choice, choose_strength
from .tuned import Tuned


def tune_quickly(inputs: Inputs, version: Path, config: FineTuneConfig, folder: Path, progress: Progress) -> Tuned:
    """Choose the strength, fit, and score; what was done before is taken up from the folder of the fine-tune.

    `version` is the folder of the released one. Raises HeadCTError `diverged`.
    """
    classifier = inputs.base.classifier
    replay = inputs.replay(config.replay_studies, config.seed) if config.replay_weight else None
    of_choice = 0.0 if len(config.strengths) == 1 else 0.6
    choice = chosen(inputs, replay, config, folder, progress, of_choice)
    strength = config.strengths[0] if choice is None else choice.strength

    def watch(step: Step) -> None:
        progress.tell(of_choice + (1 - of_choice) * step.share, {"loss": step.loss, "strength": strength}, step.epoch, step.epochs)

    fitted = fit(classifier, inputs.learn, replay, config, strength=strength, watch=watch, checkpoint=folder / CHECKPOINT)
    validation = inputs.validation()
    return Tuned(
        tensors={**read_tensors(version / WEIGHTS), **fitted.state},
        strength=strength,
        held_out=fitted.logits(classifier, inputs.judge),
        source=None if validation is None else fitted.logits(classifier, validation[0]),
        out_of_fold=None if choice is None else choice.out_of_fold,
        metrics={"loss_first": fitted.losses[0], "loss_last": fitted.losses[-1]},
    )


def chosen(
    inputs: Inputs, replay: Examples | None, config: FineTuneConfig, folder: Path, progress: Progress, share: float
) -> Choice | None:
    """The strength that cross-validation chooses, or chose before; None where there is only one to choose from."""
    if len(config.strengths) == 1:
        return None
    choice = read_choice(folder / CHOICE)
    if choice is None:

        def watch(step: Step) -> None:
            progress.tell(share * step.share, {"loss": step.loss, "fit": step.fit, "fits": step.fits}, step.epoch, step.epochs)

        choice = choose_strength(inputs.base.classifier, inputs.learn, replay, patients_of(inputs.trained), config, watch)
        write_choice(folder / CHOICE, choice)
    return choice
