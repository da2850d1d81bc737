"""The frozen backbone of adapters.py: the demo's network at a quarter of its pixels, which learned to name normal tissues and no lesion."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import trange

from headct_molre.data.phantom.anatomy import TISSUES
from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.auc import finding_auc, mean_auc
from headct_molre.imaging.prepare import windows
from headct_molre.models.backbones import demo
from headct_molre.models.backbones.spec import NormalisedBackbone, to_input
from headct_molre.output import write_whole

INPUT_PX = (112, 96)
HELD_OUT = 10  # one sample of so many is kept to see what was learned


@dataclass(frozen=True)
class TissueTask:
    """What decides the backbone's weights: seeds of the phantoms, optimiser steps, slices a step, and the seed of weights and draws."""

    first_seed: int = 1
    samples: int = 400
    steps: int = 400
    batch_slices: int = 64
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def sample_seeds(self) -> Sequence[int]:
        """Seeds of the phantoms."""
        return range(self.first_seed, self.first_seed + self.samples)


@dataclass(frozen=True)
class Slices:
    """Windowed slices (N, 3, 112, 96) uint8, 255 for 1; tissues of each patch (N, P, 7) and of each slice (N, 7); phantom of each (N,)."""

    windowed: torch.Tensor
    patches: torch.Tensor
    shows: torch.Tensor
    phantom: torch.Tensor

    def of(self, chosen: torch.Tensor) -> Slices:
        """The slices that a mask (N,) chooses."""
        return Slices(self.windowed[chosen], self.patches[chosen], self.shows[chosen], self.phantom[chosen])


def use_small_input(home: Path) -> None:
    """In this process the model `demo` reads 112 x 96 px, and its weights are those in `home`; to be called before it is asked for."""
    demo.SPEC = replace(demo.SPEC, input_px=INPUT_PX)
    os.environ["HEADCT_MOLRE_HOME"] = str(home)
    torch.set_num_threads(1)


def ensure_backbone(home: Path, task: TissueTask, samples: Path, workers: int) -> dict:
    """Train and write `home/backbones/demo.safetensors` unless it is there; the record of how, with the tissue AUC on held-out phantoms.

    Raises InvalidRequest where the weights that are there came from another task.
    """
    record = home / "backbone.json"
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["task"] != asdict(task):
            message = f"{record} is of another pretraining ({known['task']}). Choose another --work, or the same options."
            raise InvalidRequest("other_run", message, field="work")
        return known
    started = time.monotonic()
    held_out = max(1, task.samples // HELD_OUT)
    slices = load_slices(task.sample_seeds, samples, workers)
    backbone, heads = pretrain(slices.of(slices.phantom >= held_out), task)
    patches, shows = judge(backbone, heads, slices.of(slices.phantom < held_out))
    path = home / "backbones" / "demo.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in backbone.network.state_dict().items()}, path)
    known = {
        "task": asdict(task),
        "input_px": INPUT_PX,
        "classes": TISSUES,
        "held_out_phantoms": held_out,
        "patch_auc": patches,
        "slice_auc": shows,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_whole(record, json.dumps(known, indent=2).encode())
    return json.loads(record.read_text(encoding="utf-8"))


def load_slices(seeds: Sequence[int], samples: Path, workers: int) -> Slices:
    """Every slice of the phantoms of these seeds with the tissues that it shows; the columns of lesions are left out."""
    from headct_molre.training.phantom_samples import GRID, load_samples  # after the input was made small

    rows, columns = INPUT_PX[0] // demo.PATCH_PX, INPUT_PX[1] // demo.PATCH_PX
    windowed, patches, shows, phantom = [], [], [], []
    for number, sample in enumerate(load_samples(seeds, samples, workers)):
        small = to_input(demo.SPEC, torch.from_numpy(windows(sample.hu.astype(np.float32))), INPUT_PX)
        windowed.append((small * 255).round().to(torch.uint8))
        fine = sample.patches[..., : len(TISSUES)].reshape(-1, rows, GRID[0] // rows, columns, GRID[1] // columns, len(TISSUES))
        patches.append(torch.from_numpy(fine.any((2, 4)).reshape(len(fine), -1, len(TISSUES))))
        shows.append(torch.from_numpy(sample.shows[:, : len(TISSUES)]))
        phantom.append(torch.full((len(small),), number))
    return Slices(torch.cat(windowed), torch.cat(patches), torch.cat(shows), torch.cat(phantom))


def pretrain(slices: Slices, task: TissueTask) -> tuple[NormalisedBackbone, nn.ModuleList]:
    """Patch tokens name the tissues of their patch, the CLS token those of the slice."""
    from headct_molre.training.pretrain_demo import disturb

    torch.manual_seed(task.seed)
    rng = np.random.default_rng(task.seed)
    backbone = NormalisedBackbone(demo.SPEC)
    heads = nn.ModuleList(nn.Linear(demo.DIMENSION, len(TISSUES)) for _ in range(2))
    parameters = [*backbone.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=task.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, task.learning_rate, task.steps, pct_start=0.1)
    for _ in (bar := trange(task.steps, desc="naming tissues", mininterval=10)):
        drawn = torch.from_numpy(rng.integers(len(slices.windowed), size=task.batch_slices))
        tokens = backbone.tokens(disturb(slices.windowed[drawn] / 255, rng))
        loss = _loss(heads[0](tokens[:, 1:]), slices.patches[drawn]) + _loss(heads[1](tokens[:, 0]), slices.shows[drawn])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    return backbone.eval(), heads


def judge(backbone: NormalisedBackbone, heads: nn.ModuleList, slices: Slices) -> tuple[float | None, float | None]:
    """Mean AUC over tissues, of patches and of slices."""
    with torch.inference_mode():
        tokens = torch.cat([backbone.tokens(part / 255) for part in slices.windowed.split(64)])
        named = heads[0](tokens[:, 1:]).flatten(0, 1), heads[1](tokens[:, 0])
    shown = slices.patches.flatten(0, 1), slices.shows
    patches, shows = (
        mean_auc([finding_auc(truth[:, c].double().numpy(), score[:, c].double().numpy()) for c in range(len(TISSUES))])
        for truth, score in zip(shown, named, strict=True)
    )
    return patches, shows


def _loss(logits: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, shown.float())
