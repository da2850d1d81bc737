"""Makes the shipped demo model from nothing but code and seeds.

    python -m headct_molre.training.train_demo --out lib/headct_molre/released/demo --work runs/demo

Phantoms are drawn, the ViT is pretrained to name what their patches show, then frozen; MoLRE, pooling and head are trained
on cached features, then LoRA with them end to end; calibration and operating points come from validation phantoms, and
the AUC on the model card from fresh phantoms that went through the whole chain as files: read, gate, align, prepare.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from ..data.phantom.lesions import DRAWABLE
from ..evaluation.auc import finding_auc, mean_auc
from ..findings import finding_keys, positions
from ..models.backbones.demo import SPEC
from ..models.backbones.spec import NormalisedBackbone
from ..models.checkpoint import set_champion, sha256, write_version
from ..models.classifier import HeadCTClassifier
from ..models.lora import add_lora, lora_parameters
from .demo_card import demo_card
from .fresh_phantoms import score_fresh_phantoms
from .losses import MaskedFocalLoss, prevalence_weights
from .phantom_samples import Sample, load_samples
from .pretrain_demo import PretrainSettings, disturb, pretrain

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# Disjoint ranges of phantom seeds: no phantom is ever in two sets.
TRAIN_SEED, VALIDATION_SEED, FRESH_SEED = 1, 1_000_001, 2_000_001


@dataclass(frozen=True)
class DemoSettings:
    """Everything that decides the demo model."""

    version: str = "1.0"
    train_studies: int = 900
    validation_studies: int = 150
    fresh_studies: int = 200
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    feature_epochs: int = 60
    full_epochs: int = 1
    batch: int = 4
    head_rate: float = 1e-3
    adapter_rate: float = 1e-4
    lora_rank: int = 8
    lora_alpha: int = 16
    molre_experts: int = 6
    molre_rank: int = 8
    molre_router_width: int = 256
    seed: int = 0


def main(arguments: list[str] | None = None) -> None:
    """Command line entry; see the module's first lines."""
    parser = argparse.ArgumentParser(description="Train the demo model on synthetic phantoms.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model's versions")
    parser.add_argument("--work", type=Path, default=Path("runs/demo"), help="samples and stage checkpoints; a rerun resumes here")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_demo(options.out, options.work, options.workers, DemoSettings())


def train_demo(out: Path, work: Path, workers: int, settings: DemoSettings) -> None:
    """Run all stages and write backbone, version and alias below `out`."""
    started = time.time()
    torch.set_num_threads(workers)
    torch.set_float32_matmul_precision("medium")
    train = load_samples(range(TRAIN_SEED, TRAIN_SEED + settings.train_studies), work / "samples", workers)
    validation = load_samples(range(VALIDATION_SEED, VALIDATION_SEED + settings.validation_studies), work / "samples", workers)

    backbone = _pretrained(train, work, settings)
    out.mkdir(parents=True, exist_ok=True)
    save_file(backbone.network.state_dict(), out / "backbone.safetensors")

    classifier = _classifier(backbone, settings)
    train_on_features(classifier, train, validation, settings)
    train_end_to_end(classifier, train, validation, settings)
    classifier.eval()
    truth, logits = labels(validation).numpy(), predict_logits(classifier, validation).numpy()
    fresh = score_fresh_phantoms(classifier, FRESH_SEED, settings.fresh_studies, work / "fresh")
    card = demo_card(
        settings.version, truth, logits, fresh, sha256(out / "backbone.safetensors"), _hyperparameters(settings), time.time() - started
    )
    card = write_version(out, card, classifier.trainable_state())
    set_champion(out, card.version)
    logger.info("mean AUC over %d findings on fresh phantoms: %.3f", len(DRAWABLE), card.mean_auc or float("nan"))


def train_on_features(classifier: HeadCTClassifier, train: list[Sample], validation: list[Sample], settings: DemoSettings) -> None:
    """Train MoLRE, pooling and head on the frozen backbone's slice features, which are computed once."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    targets = labels(train)
    loss_function = MaskedFocalLoss(prevalence_weights(targets))
    features, held_out = embed(classifier, train), embed(classifier, validation)
    adapter = list(classifier.molre.parameters())
    head = [*classifier.head.parameters(), *classifier.pooling.parameters()]
    # Ten times the rates of the end-to-end stage: a step on cached features costs a hundredth, and nothing else moves.
    optimizer = torch.optim.AdamW(
        [{"params": adapter, "lr": 10 * settings.adapter_rate}, {"params": head, "lr": 3 * settings.head_rate}], weight_decay=1e-3
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.feature_epochs)
    for epoch in range(settings.feature_epochs):
        for batch in _batches(len(train), 16, rng):
            padded, mask = pad([features[i] for i in batch])
            loss = loss_function(classifier.classify(padded, mask).logits, targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if epoch % 10 == 9:
            with torch.no_grad():
                logits = torch.cat([classifier.classify(item[None]).logits for item in held_out])
            logger.info("features epoch %d: loss %.4f, validation AUC %.3f", epoch + 1, loss.item(), _macro_auc(validation, logits))


def train_end_to_end(classifier: HeadCTClassifier, train: list[Sample], validation: list[Sample], settings: DemoSettings) -> None:
    """Train LoRA, MoLRE, pooling and head together; keeps the best state by validation AUC."""
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng(settings.seed + 1)
    targets = labels(train)
    loss_function = MaskedFocalLoss(prevalence_weights(targets))
    head = [*classifier.head.parameters(), *classifier.pooling.parameters()]
    adapter = [*lora_parameters(classifier.backbone), *classifier.molre.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": adapter, "lr": settings.adapter_rate}, {"params": head, "lr": settings.head_rate / 10}], weight_decay=1e-4
    )
    steps = settings.full_epochs * (len(train) // settings.batch + 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best_auc = _macro_auc(validation, predict_logits(classifier, validation))
    best = {name: tensor.clone() for name, tensor in classifier.trainable_state().items()}
    logger.info("before LoRA: validation AUC %.3f", best_auc)
    for epoch in range(settings.full_epochs):
        progress = tqdm(list(_batches(len(train), settings.batch, rng)), desc=f"epoch {epoch + 1}", mininterval=10)
        for batch in progress:
            slices, mask = pad([_tensor(train[i]) for i in batch])
            flipped = slices.flip(-1) if rng.random() < 0.5 else slices
            slices = disturb(flipped.flatten(0, 1), rng).unflatten(0, flipped.shape[:2])
            with torch.autocast("cpu", torch.bfloat16):
                features = classifier.features(slices)
            loss = loss_function(classifier.classify(features.float(), mask).logits, targets[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*adapter, *head], 1.0)
            optimizer.step()
            schedule.step()
            progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        auc = _macro_auc(validation, predict_logits(classifier, validation))
        logger.info("end to end epoch %d: validation AUC %.3f", epoch + 1, auc)
        if auc > best_auc:
            best_auc, best = auc, {name: tensor.clone() for name, tensor in classifier.trainable_state().items()}
    classifier.load_state_dict({**classifier.state_dict(), **best})


def labels(samples: list[Sample]) -> torch.Tensor:
    """Labels (N, 75): 1, 0, and NaN for findings that a phantom cannot show."""
    result = torch.full((len(samples), len(finding_keys())), float("nan"))
    where = positions(DRAWABLE, within=finding_keys())
    result[:, where] = torch.from_numpy(np.stack([sample.planted for sample in samples])).float()
    return result


@torch.no_grad()
def embed(classifier: HeadCTClassifier, samples: list[Sample]) -> list[torch.Tensor]:
    """Slice features (S, d) of each sample."""
    return [classifier.features(_tensor(sample)[None])[0] for sample in tqdm(samples, desc="features", mininterval=5)]


@torch.no_grad()
def predict_logits(classifier: HeadCTClassifier, samples: list[Sample]) -> torch.Tensor:
    """Logits (N, 75) of samples, one study at a time."""
    return torch.cat([classifier(_tensor(sample)[None]).logits for sample in samples])


def pad(items: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack items of different length along the slices: (B, S, ...) and the mask (B, S) of real slices."""
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(item), dtype=torch.bool) for item in items], batch_first=True)
    return nn.utils.rnn.pad_sequence(items, batch_first=True), mask


def _pretrained(train: list[Sample], work: Path, settings: DemoSettings) -> NormalisedBackbone:
    """The pretrained backbone; a finished pretraining with the same settings is taken up again."""
    path, record = work / "pretrained.safetensors", work / "pretrained.json"
    described = json.dumps({**asdict(settings.pretrain), "studies": settings.train_studies}, sort_keys=True)
    if path.is_file() and record.is_file() and record.read_text(encoding="utf-8") == described:
        backbone = NormalisedBackbone(SPEC)
        backbone.network.load_state_dict(load_file(path))
        return backbone.eval()
    backbone = pretrain(train, settings.pretrain)
    save_file(backbone.network.state_dict(), path)
    record.write_text(described, encoding="utf-8")
    return backbone


def _classifier(backbone: NormalisedBackbone, settings: DemoSettings) -> HeadCTClassifier:
    torch.manual_seed(settings.seed)
    add_lora(backbone, SPEC.lora_targets, settings.lora_rank, settings.lora_alpha)
    classifier = HeadCTClassifier(
        backbone,
        SPEC.dimension,
        len(finding_keys()),
        experts=settings.molre_experts,
        rank=settings.molre_rank,
        router_width=settings.molre_router_width,
    )
    classifier.freeze_backbone()
    return classifier


def _tensor(sample: Sample) -> torch.Tensor:
    return torch.from_numpy(sample.slices).float() / 255


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(count)
    yield from np.array_split(order, max(1, round(count / size)))


def _macro_auc(samples: list[Sample], logits: torch.Tensor) -> float:
    truth = labels(samples).numpy()
    return mean_auc([finding_auc(truth[:, i], logits[:, i].numpy()) for i in range(truth.shape[1])]) or float("nan")


def _hyperparameters(settings: DemoSettings) -> dict[str, float | int | str | bool | None]:
    flat = asdict(settings)
    nested = flat.pop("pretrain")
    return {**flat, **{f"pretrain_{name}": value for name, value in nested.items()}}


if __name__ == "__main__":
    main()
