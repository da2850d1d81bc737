"""Full mode: LoRA too, on the images of the corrections, through the training loop.

Stored features of the source set are those of the untuned backbone. They can neither be replayed through one that changes nor show
what it lost; the anchor alone holds the version to the released one here, and the gate has no source set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from ...models.checkpoint import load_version
from ...models.classifier import HeadCTClassifier
from ...models.engines.hardware import hardware_of
from ...models.lora import add_lora
from ..config import TrainingConfig
from ..dataset import StudyDataset
from ..distributed import Group
from ..loop import Logits, Pace, Task, predict_logits, train
from ..losses import MaskedFocalLoss, prevalence_weights
from ..run_state import RunState
from .card import Setting
from .config import FineTuneConfig
from .inputs import Inputs
from .job_files import CHECKPOINT
from .quick import chosen
from .report_progress import Progress
from .tuned import Tuned

LORA = {"lora_rank": 8, "lora_alpha": 16}
CHECKPOINT_SECONDS = 60.0
# The choice of a strength is made on stored features, in a small part of the time that the images take.
OF_CHOICE = 0.1


def tune_fully(inputs: Inputs, version: Path, config: FineTuneConfig, folder: Path, progress: Progress) -> Tuned:
    """Train LoRA, MoLRE, pooling and head from the released version in the folder `version`; cut off, it is taken up where it was.

    A version without LoRA gets it, of rank 8 and without effect at the start. The strength is chosen on stored features, as in quick mode.
    Raises HeadCTError `diverged`, StudyRefused where images changed since.
    """
    choice = chosen(inputs, None, config, folder, progress, OF_CHOICE)
    strength = config.strengths[0] if choice is None else choice.strength
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    group, bf16 = Group(0, 1, device), hardware_of(device.type).bf16
    classifier, adapters = _trainable(version, config.seed)
    logits = Logits(classifier.to(device), cached=False, bf16=bf16)
    settings = _settings(inputs, config)
    state = _state(classifier, config)
    pull = _anchor(state.parameters, strength / len(inputs.trained))
    if (folder / CHECKPOINT).is_file():
        state.load(folder / CHECKPOINT)
    data = {
        part: StudyDataset(inputs.base.prepared(studies), inputs.base.spec, classifier.input_px, settings.augmentation, config.seed)
        for part, studies in (("learn", inputs.trained), ("judge", inputs.held_out))
    }
    labels = inputs.learn.labels
    task = Task(
        training=data["learn"],
        labels=labels,
        factors=np.ones(len(labels)),
        validation=data["judge"],
        validation_count=0,  # the held-out corrections choose nothing
        judge=lambda _: float(state.progress.epoch),  # so that the last epoch is the best
        pull=pull,
    )
    loss = MaskedFocalLoss(prevalence_weights(labels, config.positive_weight_limit), config.focal_gamma).to(device)

    def log(rows: list[dict[str, float | int | None]]) -> None:
        share = OF_CHOICE + (1 - OF_CHOICE) * len(rows) / config.epochs
        progress.tell(share, {"loss": float(rows[-1]["loss"] or 0), "strength": strength}, len(rows), config.epochs)

    train(logits, state, loss, task, settings, Pace(0, folder / CHECKPOINT, CHECKPOINT_SECONDS), group, log)
    history = state.progress.history
    return Tuned(
        tensors=classifier.trainable_state(),
        strength=strength,
        held_out=predict_logits(logits, data["judge"], len(inputs.held_out), 0, group).astype(np.float64),
        source=None,
        out_of_fold=None,
        metrics={"loss_first": float(history[0]["loss"] or 0), "loss_last": float(history[-1]["loss"] or 0)},
        adapters=adapters,
    )


def _trainable(version: Path, seed: int) -> tuple[HeadCTClassifier, dict[str, Setting]]:
    """The released version with LoRA beside its weights, and the settings that this adds to its card."""
    classifier, card, spec = load_version(version)
    adapters: dict[str, Setting] = {}
    if spec.lora_targets and not card.hyperparameters.get("lora_rank"):
        torch.manual_seed(seed)
        add_lora(classifier.backbone, spec.lora_targets, LORA["lora_rank"], LORA["lora_alpha"])
        adapters = {"lora": True, **LORA}
    classifier.freeze_backbone()
    classifier.checkpointing = True
    return classifier, adapters


def _settings(inputs: Inputs, config: FineTuneConfig) -> TrainingConfig:
    """What the training loop is told: the paper's settings but for the rates and the number of epochs."""
    return TrainingConfig(
        model=inputs.card.backbone,
        max_epochs=config.epochs,
        min_epochs=config.epochs,
        gradient_clip=config.gradient_clip,
        focal_gamma=config.focal_gamma,
        seed=config.seed,
    )


def _state(classifier: HeadCTClassifier, config: FineTuneConfig) -> RunState:
    """What learns, each part at its rate, without weight decay: the anchor takes its place."""
    parameters = {name: parameter for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    rates = {"head.": config.head_rate, "pooling.": config.head_rate, "molre.": config.adapter_rate, "backbone.": config.lora_rate}
    groups = [
        {"params": [parameter for name, parameter in parameters.items() if name.startswith(part)], "peak": rate}
        for part, rate in rates.items()
    ]
    return RunState(parameters, torch.optim.Adam([group for group in groups if group["params"]], lr=config.head_rate))


def _anchor(parameters: Mapping[str, torch.nn.Parameter], strength: float) -> Callable[[], None]:
    """Adds the gradient of strength |w - w0|^2, with w0 as the parameters are now."""
    released = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    def pull() -> None:
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - released[name], alpha=2 * strength)

    return pull
