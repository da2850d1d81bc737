"""A training run in miniature: a linear backbone, random images with a hidden rule, and a program that trains on them.

python toy_training.py OUT
torchrun --nproc_per_node 2 toy_training.py OUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from headct_molre.evaluation.auc import finding_auc, mean_auc
from headct_molre.models.backbones.spec import BackboneSpec, KeyFormat, NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier, adapted_classifier
from headct_molre.models.lora import LoRATarget
from headct_molre.training.config import TrainingConfig
from headct_molre.training.dataset import Item
from headct_molre.training.distributed import process_group
from headct_molre.training.loop import Logits, Pace, Task, train
from headct_molre.training.losses import MaskedFocalLoss, prevalence_weights
from headct_molre.training.run_state import RunState
from headct_molre.training.sampling import repeat_factors

SIDE, WIDTH, FINDINGS = 4, 16, 6


class Pixels(nn.Module):
    """A backbone: pixels (N, 3, 4, 4) through two linears to features (N, 16)."""

    def __init__(self, input_px: tuple[int, int] = (SIDE, SIDE)) -> None:
        super().__init__()
        self.first = nn.Linear(3 * SIDE * SIDE, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(slices.flatten(1)).relu())


SPEC = BackboneSpec(
    name="toy",
    title="Toy",
    build=Pixels,
    dimension=WIDTH,
    field_mm=(SIDE, SIDE),
    input_px=(SIDE, SIDE),
    level="slice",
    licence="none",
    pooling="none",
    formats=(KeyFormat("toy", ".*"),),
    lora_targets=(LoRATarget(r"network\.(first|second)"),),
)


class Images(Dataset):
    """Studies of 2 to 5 slices whose mean pixels decide the findings; the noise of an item follows from its place in the run alone."""

    def __init__(self, count: int, seed: int, slow: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        self.images = [torch.from_numpy(rng.normal(size=(rng.integers(2, 6), 3, SIDE, SIDE)).astype(np.float32)) for _ in range(count)]
        rule = np.random.default_rng(7).normal(size=(3 * SIDE * SIDE, FINDINGS)).astype(np.float32)
        score = np.stack([image.mean(0).flatten().numpy() for image in self.images]) @ rule
        self.labels = (score > np.quantile(score, 0.6, axis=0)).astype(np.float32)
        self.labels[rng.random(self.labels.shape) < 0.1] = np.nan
        self.slow = slow

    def __getitem__(self, item: Item) -> tuple[int, torch.Tensor, torch.Tensor]:
        time.sleep(self.slow)
        image = self.images[item.row]
        if item.epoch is not None:
            generator = torch.Generator().manual_seed(1_000_000 * item.epoch + item.position)
            image = image + 0.1 * torch.randn(image.shape, generator=generator)
        return item.row, image, torch.ones(len(image), dtype=torch.bool)


def classifier(config: TrainingConfig) -> HeadCTClassifier:
    """The toy's classifier, the same for each seed of the configuration."""
    torch.manual_seed(config.seed)
    made = adapted_classifier(NormalisedBackbone(SPEC), SPEC, FINDINGS, **config.adapters)
    made.freeze_backbone()
    return made


def trainer(model: HeadCTClassifier, config: TrainingConfig) -> RunState:
    """Its parameters with an optimiser."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return RunState(parameters, torch.optim.AdamW([{"params": list(parameters.values()), "peak": config.head_rate}], lr=config.head_rate))


def weights_hash(model: nn.Module) -> str:
    """A hash of all bits of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def run(out: Path, slow: float = 0.0, workers: int = 0, **settings: object) -> dict:
    """Train, from where a run in the folder stands; what is written to `result.json`, whose hash is of all bits of the weights."""
    usual = {"batch_studies": 8, "min_epochs": 3, "max_epochs": 8, "head_rate": 0.02, "selection_minimum": 2}
    config = TrainingConfig(model="demo", **usual | settings)
    model = classifier(config)
    state = trainer(model, config)
    out.mkdir(exist_ok=True)
    checkpoint = out / "checkpoint.safetensors"
    if checkpoint.is_file():
        state.load(checkpoint)
    training, validation = Images(40, 1, slow), Images(31, 2)
    labels = torch.from_numpy(training.labels)

    def judge(logits: np.ndarray) -> float:
        return mean_auc([finding_auc(validation.labels[:, f], logits[:, f], 2) for f in range(FINDINGS)])

    task = Task(training, labels, repeat_factors(training.labels, 0.5), validation, len(validation.images), judge)
    with process_group("cpu") as group:
        loss = MaskedFocalLoss(prevalence_weights(labels))
        train(Logits(model, False, False), state, loss, task, config, Pace(workers, checkpoint, 0.0), group, lambda rows: None)
        result = {"weights": weights_hash(model), "history": state.progress.history}
        if group.first:
            (out / "result.json").write_text(json.dumps(result))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--slow", type=float, default=0.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options.out, options.slow, workers=1)


if __name__ == "__main__":
    main()
