"""Makes the shipped demo model from nothing but code and seeds.

    python -m headct_molre.training.train_demo --out demo_model --work runs/demo

Phantoms are drawn, the ViT is pretrained to name what their patches show, then frozen; MoLRE, pooling and head are trained
on cached features, then LoRA with them end to end; calibration and operating points come from validation phantoms, and
the AUC on the model card from fresh phantoms that went through the whole chain as files: read, gate, align, prepare.
"""

from __future__ import annotations

import argparse
import itertools
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
from tqdm import tqdm, trange

from ..data.phantom.lesions import DRAWABLE, FIRST_LESION_ID
from ..errors import InvalidRequest
from ..evaluation.auc import finding_auc, mean_auc
from ..findings import finding_keys, positions
from ..hashing import file_sha256
from ..models.backbones.demo import SPEC
from ..models.backbones.spec import NormalisedBackbone
from ..models.checkpoint import set_champion, write_version
from ..models.classifier import HeadCTClassifier, Output, adapted_classifier
from ..models.lora import lora_parameters
from .demo_card import demo_card
from .fresh_phantoms import score_fresh_phantoms
from .losses import MaskedFocalLoss, prevalence_weights
from .phantom_samples import Sample, load_samples
from .pretrain_demo import PretrainSettings, disturb, pretrain, pretrain_balanced

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# Disjoint ranges of phantom seeds: no phantom is ever in two sets.
TRAIN_SEED, VALIDATION_SEED, FRESH_SEED = 1, 1_000_001, 2_000_001


@dataclass(frozen=True)
class DemoSettings:
    """Everything that decides the demo model."""

    version: str = "1.0"
    samples: str = "1"
    train_studies: int = 900
    validation_studies: int = 150
    fresh_studies: int = 200
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    feature_epochs: int = 20
    full_steps: int = 120
    full_evaluations: int = 2
    feature_batch: int = 16
    feature_head_rate: float = 3e-3
    feature_adapter_rate: float = 1e-3
    full_batch: int = 4
    full_head_rate: float = 1e-4
    full_adapter_rate: float = 1e-4
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
    if out.exists() and any(out.iterdir()):
        raise InvalidRequest("folder_not_empty", f"{out} holds a model already and versions are never changed. Choose another folder.")
    started = time.time()
    torch.set_num_threads(workers)
    torch.set_float32_matmul_precision("medium")
    train, validation = (
        load_samples(range(first, first + count), work / f"samples-{settings.samples}", workers)
        for first, count in ((TRAIN_SEED, settings.train_studies), (VALIDATION_SEED, settings.validation_studies))
    )

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
        settings.version, truth, logits, fresh, file_sha256(out / "backbone.safetensors"), _hyperparameters(settings), time.time() - started
    )
    card = write_version(out, card, classifier.trainable_state())
    set_champion(out, card.version)
    logger.info("mean AUC over %d findings on fresh phantoms: %.3f", len(DRAWABLE), card.mean_auc or float("nan"))


def train_on_features(classifier: HeadCTClassifier, train: list[Sample], validation: list[Sample], settings: DemoSettings) -> None:
    """Train MoLRE, pooling and head on the frozen backbone's slice features, which are computed once."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    targets, slice_targets = labels(train), slice_labels(train)
    loss_function = MaskedFocalLoss(prevalence_weights(targets))
    features, held_out = embed(classifier, train), embed(classifier, validation)
    adapter, head = classifier.molre_parameters(), classifier.head_parameters()
    optimizer = torch.optim.AdamW(
        [{"params": adapter, "lr": settings.feature_adapter_rate}, {"params": head, "lr": settings.feature_head_rate}], weight_decay=1e-3
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.feature_epochs)
    for epoch in range(settings.feature_epochs):
        for batch in _batches(len(train), settings.feature_batch, rng):
            padded, mask = pad([features[i] for i in batch])
            loss = study_and_slice_loss(classifier, classifier.classify(padded, mask), targets[batch], slice_targets, batch, loss_function)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if epoch % 5 == 4:
            with torch.no_grad():
                logits = torch.cat([classifier.classify(item[None]).logits for item in held_out])
            logger.info("features epoch %d: loss %.4f, validation AUC %.3f", epoch + 1, loss.item(), _macro_auc(validation, logits))


def train_end_to_end(classifier: HeadCTClassifier, train: list[Sample], validation: list[Sample], settings: DemoSettings) -> None:
    """Train LoRA, MoLRE, pooling and head together; keeps the best state by validation AUC."""
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng(settings.seed + 1)
    targets, slice_targets = labels(train), slice_labels(train)
    loss_function = MaskedFocalLoss(prevalence_weights(targets))
    adapter, head = [*lora_parameters(classifier.backbone), *classifier.molre_parameters()], classifier.head_parameters()
    optimizer = torch.optim.AdamW(
        [{"params": adapter, "lr": settings.full_adapter_rate}, {"params": head, "lr": settings.full_head_rate}], weight_decay=1e-4
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.full_steps)
    best_auc = _macro_auc(validation, predict_logits(classifier, validation))
    best = {name: tensor.clone() for name, tensor in classifier.trainable_state().items()}
    logger.info("before LoRA: validation AUC %.3f", best_auc)
    batches = itertools.chain.from_iterable(_batches(len(train), settings.full_batch, rng) for _ in itertools.count())
    progress = trange(settings.full_steps, desc="end to end", mininterval=10)
    for step in progress:
        batch = next(batches)
        slices, mask = pad([_tensor(train[i]) for i in batch])
        flipped = slices.flip(-1) if rng.random() < 0.5 else slices
        slices = disturb(flipped.flatten(0, 1), rng).unflatten(0, flipped.shape[:2])
        with torch.autocast("cpu", torch.bfloat16):
            features = classifier.features(slices)
        output = classifier.classify(features.float(), mask)
        loss = study_and_slice_loss(classifier, output, targets[batch], slice_targets, batch, loss_function)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*adapter, *head], 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if (step + 1) % (settings.full_steps // settings.full_evaluations) == 0:
            auc = _macro_auc(validation, predict_logits(classifier, validation))
            logger.info("end to end step %d: validation AUC %.3f", step + 1, auc)
            if auc > best_auc:
                best_auc, best = auc, {name: tensor.clone() for name, tensor in classifier.trainable_state().items()}
    classifier.load_state_dict({**classifier.state_dict(), **best})


def labels(samples: list[Sample]) -> torch.Tensor:
    """Labels (N, 75): 1, 0, and NaN for findings that a phantom cannot show."""
    result = torch.full((len(samples), len(finding_keys())), float("nan"))
    where = positions(DRAWABLE, within=finding_keys())
    result[:, where] = torch.from_numpy(np.stack([sample.planted for sample in samples])).float()
    return result


def slice_labels(samples: list[Sample]) -> list[torch.Tensor]:
    """Labels (S, 75) of each slice of each sample: 1 where the slice shows the finding, else 0; NaN as in `labels`."""
    where = positions(DRAWABLE, within=finding_keys())
    result = []
    for sample in samples:
        shown = torch.full((len(sample.slices), len(finding_keys())), float("nan"))
        shown[:, where] = torch.from_numpy(sample.shows[:, FIRST_LESION_ID:]).float()
        result.append(shown)
    return result


def study_and_slice_loss(
    classifier: HeadCTClassifier,
    output: Output,
    targets: torch.Tensor,
    slice_targets: list[torch.Tensor],
    batch: np.ndarray,
    loss_function: MaskedFocalLoss,
) -> torch.Tensor:
    """Focal loss on the studies' logits and on the slices' scores: a phantom knows which of its slices show a finding."""
    shown, _ = pad([slice_targets[i] for i in batch], fill=float("nan"))
    assert output.scores is not None  # the demo reads slices
    slice_logits = output.scores.transpose(1, 2) + classifier.head.bias
    return loss_function(output.logits, targets) + loss_function(slice_logits.flatten(0, 1), shown.flatten(0, 1))


@torch.no_grad()
def embed(classifier: HeadCTClassifier, samples: list[Sample]) -> list[torch.Tensor]:
    """Slice features (S, d) of each sample, computed in bfloat16 as in the end-to-end stage."""
    with torch.autocast("cpu", torch.bfloat16):
        return [classifier.features(_tensor(sample)[None])[0].float() for sample in tqdm(samples, desc="features", mininterval=5)]


@torch.no_grad()
def predict_logits(classifier: HeadCTClassifier, samples: list[Sample]) -> torch.Tensor:
    """Logits (N, 75) of samples, one study at a time."""
    return torch.cat([classifier(_tensor(sample)[None]).logits for sample in samples])


def pad(items: list[torch.Tensor], fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack items of different length along the slices: (B, S, ...), filled up with `fill`, and the mask (B, S) of real slices."""
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(item), dtype=torch.bool) for item in items], batch_first=True)
    return nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=fill), mask


def _pretrained(train: list[Sample], work: Path, settings: DemoSettings) -> NormalisedBackbone:
    """The pretrained backbone; a phase that was finished with the same settings is taken up again."""
    described = {**asdict(settings.pretrain), "studies": settings.train_studies, "samples": settings.samples}
    second = json.dumps(described, sort_keys=True)
    first = json.dumps({name: value for name, value in described.items() if not name.startswith("balanced")}, sort_keys=True)
    backbone = _finished(work / "balanced", second)
    if backbone is None:
        backbone = _finished(work / "even", first)
        if backbone is None:
            backbone = pretrain(train, settings.pretrain)
            _finish(work / "even", first, backbone)
        backbone = pretrain_balanced(backbone, train, settings.pretrain)
        _finish(work / "balanced", second, backbone)
    return backbone


def _finished(stage: Path, described: str) -> NormalisedBackbone | None:
    record = stage.with_suffix(".json")
    if not record.is_file() or record.read_text(encoding="utf-8") != described:
        return None
    backbone = NormalisedBackbone(SPEC)
    backbone.network.load_state_dict(load_file(stage.with_suffix(".safetensors")))
    return backbone.eval()


def _finish(stage: Path, described: str, backbone: NormalisedBackbone) -> None:
    save_file(backbone.network.state_dict(), stage.with_suffix(".safetensors"))
    stage.with_suffix(".json").write_text(described, encoding="utf-8")


def _classifier(backbone: NormalisedBackbone, settings: DemoSettings) -> HeadCTClassifier:
    torch.manual_seed(settings.seed)
    classifier = adapted_classifier(
        backbone,
        SPEC,
        len(finding_keys()),
        lora_rank=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        experts=settings.molre_experts,
        rank=settings.molre_rank,
        router_width=settings.molre_router_width,
    )
    classifier.freeze_backbone()
    classifier.chunk = 64  # the demo is small
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
