"""Makes the shipped demo model from nothing but code and seeds.

    python -m headct_molre.training.train_demo --out demo_model --work runs/demo

The ViT is pretrained to name what patches, slices and studies of phantoms show, then frozen. A cohort of other phantoms is written as
files with a manifest, and goes the way of any cohort: read, gate, align, prepare, train the adapters, calibrate on its validation studies,
measure on its test studies.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ..data.phantom import LABELS_FILE, write_cohort
from ..errors import InvalidRequest
from ..models.backbones.demo import SPEC
from ..models.backbones.spec import NormalisedBackbone
from ..models.locations import home
from .config import TrainingConfig
from .distributed import process_group
from .phantom_samples import load_samples
from .pretrain_demo import PretrainHeads, PretrainSettings, pretrain, pretrain_on_studies
from .run import RunOptions, run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoSettings:
    """Everything that decides the demo model. Seeds of pretraining and of the cohort are far apart: no phantom is in both."""

    version: str = "2.0"
    samples: str = "2"
    pretrain_studies: int = 560
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    cohort_studies: int = 720
    cohort_seed: int = 500
    fractions: tuple[float, float, float] = (0.55, 0.165, 0.285)
    training: dict[str, Any] = field(
        default_factory=lambda: {
            "lora": False,
            "features": "cached",
            "head_rate": 3e-3,
            "adapter_rate": 1e-3,
            "batch_studies": 16,
            "max_epochs": 60,
            "patience": 10,
        }
    )


def main(arguments: list[str] | None = None) -> None:
    """Command line entry; see the module's first lines."""
    parser = argparse.ArgumentParser(description="Train the demo model on synthetic phantoms.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model's versions")
    parser.add_argument("--work", type=Path, default=Path("runs/demo"), help="samples, cohort and stages; a rerun resumes here")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_demo(options.out, options.work, options.workers, DemoSettings())


def train_demo(out: Path, work: Path, workers: int, settings: DemoSettings) -> None:
    """Run all stages and write backbone, version and alias below `out`. Raises InvalidRequest where it holds a model already."""
    if out.exists() and any(out.iterdir()):
        raise InvalidRequest("folder_not_empty", f"{out} holds a model already and versions are never changed. Choose another folder.")
    torch.set_float32_matmul_precision("medium")
    backbone = _pretrained(work, workers, settings)
    os.environ["HEADCT_MOLRE_HOME"] = str(work / "home")  # where the run finds the backbone before any shipped one
    path = home() / "backbones" / f"{SPEC.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(backbone.network.state_dict(), path)
    cohort = work / f"cohort-{settings.cohort_seed}"
    if not (cohort / LABELS_FILE).exists():
        write_cohort(cohort, settings.cohort_studies, settings.cohort_seed, split=True, workers=workers, fractions=settings.fractions)
    config = TrainingConfig(model=SPEC.name, **settings.training)
    options = RunOptions(
        cohort / LABELS_FILE,
        work / f"run-{config.sha256()[:8]}",
        work / "cache",
        cache_bytes=10**11,
        workers=workers,
        version=settings.version,
        reproduce="python -m headct_molre.training.train_demo --out demo_model --work runs/demo",
    )
    with process_group() as group:
        card = run(config, options, group)
    shutil.copytree(options.out / "models" / SPEC.name, out)
    shutil.copyfile(path, out / "backbone.safetensors")
    logger.info("mean AUC over %d findings on fresh phantoms: %.3f", len(card.metrics), card.mean_auc or float("nan"))


def _pretrained(work: Path, workers: int, settings: DemoSettings) -> NormalisedBackbone:
    """The pretrained backbone; a phase that was finished with the same settings is taken up again."""
    described = {**asdict(settings.pretrain), "studies": settings.pretrain_studies, "samples": settings.samples}
    slices = json.dumps(
        {name: value for name, value in described.items() if "study" not in name and name != "batch_studies"}, sort_keys=True
    )
    studies = json.dumps(described, sort_keys=True)
    torch.manual_seed(settings.pretrain.seed)
    backbone, heads = NormalisedBackbone(SPEC), PretrainHeads()
    networks = nn.ModuleDict({"network": backbone.network, "heads": heads})
    if not _finished(work / "studies", studies, networks):
        seeds = range(1, settings.pretrain_studies + 1)
        samples = load_samples(seeds, work / f"samples-{settings.samples}", workers)
        if not _finished(work / "slices", slices, networks):
            pretrain(backbone, heads, samples, settings.pretrain)
            _finish(work / "slices", slices, networks)
        pretrain_on_studies(backbone, heads, samples, settings.pretrain)
        _finish(work / "studies", studies, networks)
    return backbone.eval()


def _finished(stage: Path, described: str, networks: nn.Module) -> bool:
    record = stage.with_suffix(".json")
    if not record.is_file() or record.read_text(encoding="utf-8") != described:
        return False
    networks.load_state_dict(load_file(stage.with_suffix(".safetensors")))
    return True


def _finish(stage: Path, described: str, networks: nn.Module) -> None:
    save_file(networks.state_dict(), stage.with_suffix(".safetensors"))
    stage.with_suffix(".json").write_text(described, encoding="utf-8")


if __name__ == "__main__":
    main()
