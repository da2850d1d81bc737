"""A training run from a cohort to a model version and its report; a run that was killed is taken up where it stood."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from ..data.cohort import Cohort, read_manifest
from ..data.feature_cache import FeatureCache
from ..data.prepared_cache import PreparedCache
from ..errors import InvalidRequest
from ..evaluation.auc import finding_auc
from ..evaluation.frozen import frozen_of_card
from ..evaluation.report import evaluate_cohort, write_report
from ..evaluation.scores import Scores, write_scores
from ..findings import finding_keys
from ..hashing import file_sha256
from ..models.aliases import VERSION
from ..models.backbones import backbone_spec
from ..models.backbones.spec import BackboneSpec
from ..models.checkpoint import set_champion, write_version
from ..models.classifier import HeadCTClassifier, adapted_classifier
from ..models.engines.hardware import hardware_of
from ..models.lora import lora_parameters
from ..models.weights import load_backbone
from ..output import write_whole
from ..schema import ModelCard
from .card import build_card
from .config import TrainingConfig
from .dataset import FeatureDataset, StudyDataset
from .distributed import Group
from .features import embed
from .finished import RECORD, REFUSED
from .loop import Data, Logits, Pace, Task, predict_logits, train
from .losses import MaskedFocalLoss, prevalence_weights
from .prepared_cohort import PreparedCohort, prepare_cohort
from .run_record import RunRecord, machine, peak_memory_gb, read_record, refuse_other_run, versions
from .run_state import RunState
from .sampling import repeat_factors
from .source_gather import gather_source_set
from .source_set import MOST_STUDIES, SourceSet

logger = logging.getLogger(__name__)

CHECKPOINT, LOG, PREPARED = "checkpoint.safetensors", "log.csv", "prepared.json"


@dataclass(frozen=True)
class RunOptions:
    """What does not change the result of a run: where it is written, who works on it, and what it costs an hour.

    `prepared` is a record of the preparation that several runs on one manifest share; without it each keeps its own. Of at most
    `source_studies` studies of training and validation each the version keeps the features, for fine-tuning; 0 for none.
    """

    manifest: Path
    out: Path
    cache: Path
    cache_bytes: int
    workers: int = 2
    version: str | None = None
    checkpoint_seconds: float = 120.0
    price_per_hour: float | None = None
    reproduce: str | None = None
    prepared: Path | None = None
    source_studies: int = MOST_STUDIES


def run(config: TrainingConfig, options: RunOptions, group: Group) -> ModelCard:
    """Prepare, train, score, calibrate and report; `out` then holds `models/<model>/<version>/`, `scores/`, `report/` and the records.

    Raises InvalidRequest for a cohort without training or validation studies, and for a folder with another run; ModelUnavailable where the
    backbone's weights are missing.
    """
    stages = _Stages()
    cohort = read_manifest(options.manifest)
    spec = backbone_spec(config.model)
    _refuse_without_splits(cohort)
    bf16 = hardware_of(group.device.type).bf16 if config.precision == "auto" else config.precision == "bf16"
    torch.manual_seed(config.seed)
    input_px = spec.input_px_on(str(group.device))
    backbone, backbone_sha256 = load_backbone(spec, input_px)
    record = _open(config, options, group, bf16, backbone_sha256)
    with stages("preparation"):
        prepared = _prepare(cohort, spec, options, group)
    parts = {split: prepared.part(split) for split in ("train", "validation", "test")}
    _refuse_empty(parts)
    truth = parts["validation"].cohort.labels()
    judged = judged_findings(truth, config.selection_minimum)
    torch.manual_seed(config.seed)  # loading may or may not have drawn random numbers
    classifier = adapted_classifier(backbone, spec, len(finding_keys()), **config.adapters).to(group.device)  # type: ignore[arg-type]
    classifier.freeze_backbone()
    classifier.chunk, classifier.checkpointing = config.chunk_slices, config.checkpointing
    logits = Logits(classifier, config.features == "cached", bf16)
    with stages("features"):
        data = _data(config, spec, classifier, parts, backbone_sha256, options, bf16, group)
    labels = torch.from_numpy(parts["train"].cohort.labels(config.uncertain))
    factors = repeat_factors(parts["train"].cohort.labels(), config.repeat_threshold)
    state = _state(classifier, config)
    checkpoint = options.out / CHECKPOINT
    if checkpoint.is_file():
        state.load(checkpoint)
    loss_function = MaskedFocalLoss(prevalence_weights(labels, config.positive_weight_limit), config.focal_gamma).to(group.device)
    task = Task(data["train"], labels, factors, data["validation"], len(truth), lambda found: selection_auc(truth, found, judged))
    with stages("training"):
        pace = Pace(0 if config.features == "cached" else options.workers, checkpoint, options.checkpoint_seconds)
        train(logits, state, loss_function, task, config, pace, group, lambda rows: _write_rows(options.out / LOG, rows))
    with stages("scoring"):
        held_out = [split for split in parts if split != "train"]
        scored = {split: _scores(logits, data[split], parts[split].cohort, pace.workers, group) for split in held_out}
    cohorts = {split: part.cohort for split, part in parts.items()}
    by_default = f"headct-molre train MANIFEST --model {config.model}, settings as in hyperparameters, manifest {record.manifest_sha256}"
    card = build_card(config, spec, input_px, record.version, backbone_sha256, cohorts, scored, options.reproduce or by_default)
    if group.first:
        (options.out / "scores").mkdir(exist_ok=True)
        for split, scores in scored.items():
            write_scores(scores, options.out / "scores" / f"{split}.csv")
        with stages("source set"):
            most, seed = options.source_studies, config.seed
            source = gather_source_set(logits, data, parts, most, seed, pace.workers) if most else None
        card = _write_version(options.out / "models" / config.model, card, classifier, source)
        with stages("report"):
            _report(cohorts, scored, card, options.out / "report")
        _close(record, config, options, group, parts, prepared, factors, classifier, state, stages.seconds)
    group.wait()
    return card


def judged_findings(truth: np.ndarray, minimum: int) -> np.ndarray:
    """Columns of truth (N, F) with at least `minimum` positive and `minimum` negative studies, by which an epoch is chosen.

    Raises InvalidRequest where there is none.
    """
    columns = np.flatnonzero(np.minimum((truth == 1).sum(0), (truth == 0).sum(0)) >= minimum)
    if not len(columns):
        message = (
            f"No finding has {minimum} positive and {minimum} negative studies in the validation split, so no epoch can be chosen. "
            "Put more studies into it, or lower selection_minimum."
        )
        raise InvalidRequest("validation_too_small", message, field="selection_minimum")
    return columns


def selection_auc(truth: np.ndarray, logits: np.ndarray, columns: np.ndarray) -> float:
    """Mean AUC over columns of truth and logits (N, F), the metric that chooses the epoch; a constant score counts as 0.5."""
    aucs = [finding_auc(truth[:, column], logits[:, column], 1) for column in columns]
    return float(np.mean([0.5 if auc is None else auc for auc in aucs]))


class _Stages:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def _open(config: TrainingConfig, options: RunOptions, group: Group, bf16: bool, backbone_sha256: str) -> RunRecord:
    """The record of a new run, or of the one that the folder holds, which is then taken up."""
    created = datetime.now(UTC)
    version = options.version or f"{created:%Y%m%d}-{config.sha256()[:8]}"
    if not VERSION.fullmatch(version):
        raise InvalidRequest("invalid_argument", f"--version {version!r} may hold letters, digits, '.', '_' and '-'.", field="version")
    record = RunRecord(
        created=created.isoformat(timespec="seconds"),
        version=version,
        config=config,
        config_sha256=config.sha256(),
        manifest_sha256=file_sha256(options.manifest),
        backbone_sha256=backbone_sha256,
        device=str(group.device),
        processes=group.world,
        workers=options.workers,
        precision="bf16" if bf16 else "fp32",
        versions=versions(),
        machine=machine(group.device),
        price_per_hour=options.price_per_hour,
    )
    path = options.out / RECORD
    if path.is_file():
        before = read_record(path)
        refuse_other_run(before, record)
        record = record.model_copy(update={"created": before.created, "version": before.version, "taken_up": before.taken_up + 1})
    elif options.out.exists() and any(options.out.iterdir()) and group.first:
        raise InvalidRequest("folder_not_empty", f"{options.out} holds other files. Choose another folder for the run.", field="out")
    group.wait()
    if group.first:
        options.out.mkdir(parents=True, exist_ok=True)
        record.save(path)
    group.wait()
    return record


def _prepare(cohort: Cohort, spec: BackboneSpec, options: RunOptions, group: Group) -> PreparedCohort:
    used = cohort.take([row for row, study in enumerate(cohort.studies) if study.split is not None])
    cache = PreparedCache(options.cache / "prepared", options.cache_bytes)
    path = options.prepared or options.out / PREPARED
    processes = max(options.workers, 1)
    prepared = prepare_cohort(used, cache, spec.grid, processes, path) if group.first else None
    group.wait()
    if prepared is None:  # another process: the first one's record says where each study lies, so that all hold one cohort
        prepared = prepare_cohort(used, cache, spec.grid, processes, path, retry=False)
    if group.first and prepared.refused:
        logger.warning("%d studies were refused and are left out; see %s", len(prepared.refused), REFUSED)
        _write_rows(options.out / REFUSED, [asdict(refusal) for refusal in prepared.refused])
    return prepared


def _refuse_without_splits(cohort: Cohort) -> None:
    for split in ("train", "validation"):
        if not any(study.split == split for study in cohort.studies):
            message = f"The manifest has no study in the split '{split}'. Run `headct-molre cohort split` first."
            raise InvalidRequest("no_split", message, field="split")


def _refuse_empty(parts: dict[str, PreparedCohort]) -> None:
    for split in ("train", "validation"):
        if not len(parts[split].cohort):
            raise InvalidRequest("no_studies", f"All studies of the split '{split}' were refused; see {REFUSED}.", field="split")


def _data(
    config: TrainingConfig,
    spec: BackboneSpec,
    classifier: HeadCTClassifier,
    parts: dict[str, PreparedCohort],
    backbone_sha256: str,
    options: RunOptions,
    bf16: bool,
    group: Group,
) -> dict[str, Data]:
    if config.features == "images":
        return {split: StudyDataset(part, spec, classifier.input_px, config.augmentation, config.seed) for split, part in parts.items()}
    cache = FeatureCache(options.cache / "features", spec, backbone_sha256, classifier.input_px, "bf16" if bf16 else "fp32")
    return {split: FeatureDataset(embed(classifier, spec, part, cache, options.workers, bf16, group)) for split, part in parts.items()}


def _state(classifier: HeadCTClassifier, config: TrainingConfig) -> RunState:
    parameters = {name: parameter for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    head = {id(parameter) for parameter in classifier.head_parameters()}
    groups = [
        {"params": [parameter for parameter in parameters.values() if id(parameter) in head], "peak": config.head_rate},
        {"params": [parameter for parameter in parameters.values() if id(parameter) not in head], "peak": config.adapter_rate},
    ]
    groups = [group for group in groups if group["params"]]
    return RunState(parameters, torch.optim.AdamW(groups, lr=config.head_rate, weight_decay=config.weight_decay))


def _write_rows(path: Path, rows: list[dict[str, float | int | None]] | list[dict[str, str | None]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def _scores(logits: Logits, data: Data, cohort: Cohort, workers: int, group: Group) -> Scores:
    values = predict_logits(logits, data, len(cohort), workers, group)
    return Scores(tuple(study.study for study in cohort.studies), values.astype(np.float64))


def _write_version(folder: Path, card: ModelCard, classifier: HeadCTClassifier, source: SourceSet | None) -> ModelCard:
    """The version on disk; where a killed run had written it already, it is taken as it is."""
    if not (folder / card.version).exists():
        card = write_version(folder, card, classifier.trainable_state(), None if source is None else source.tensors())
    else:
        card = ModelCard.model_validate_json((folder / card.version / "model.json").read_bytes())
    set_champion(folder, card.version)
    return card


def _report(cohorts: dict[str, Cohort], scored: dict[str, Scores], card: ModelCard, folder: Path) -> None:
    split = "test" if len(cohorts["test"]) else "validation"
    report = evaluate_cohort(cohorts[split], scored[split], card, name=card.name, frozen=frozen_of_card(card), split=split)
    write_report(report, folder)


def _close(
    record: RunRecord,
    config: TrainingConfig,
    options: RunOptions,
    group: Group,
    parts: dict[str, PreparedCohort],
    prepared: PreparedCohort,
    factors: np.ndarray,
    classifier: HeadCTClassifier,
    state: RunState,
    seconds: dict[str, float],
) -> None:
    history = state.progress.history
    trained = sum(float(row["seconds"] or 0) for row in history)
    waited = sum(float(row["seconds"] or 0) * float(row["waiting_share"] or 0) for row in history)
    hours = sum(seconds.values()) * group.world / 3600
    codes = [refusal.code for refusal in prepared.refused]
    record.model_copy(
        update={
            "studies": {split: len(part.cohort) for split, part in parts.items()},
            "refused": {code: codes.count(code) for code in sorted(set(codes))},
            "epoch_expansion": float(factors.mean()),
            "trainable_parameters": {
                "lora": sum(p.numel() for p in lora_parameters(classifier.backbone)),
                "molre": sum(p.numel() for p in classifier.molre_parameters()),
                "all": sum(p.numel() for p in state.parameters.values()),
            },
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "studies_per_second": {
                "preparation": len(prepared.cohort) / max(seconds["preparation"], 1e-9),
                "training": sum(int(row["studies"] or 0) for row in history) / max(trained, 1e-9),
            },
            "waiting_share": waited / max(trained, 1e-9),
            "peak_memory_gb": peak_memory_gb(group.device),
            "epochs": state.progress.epoch,
            "best_epoch": state.progress.best_epoch,
            "best_validation_auc": state.progress.best_metric,
            "device_hours": hours,
            "price": None if options.price_per_hour is None else hours * options.price_per_hour,
        }
    ).save(options.out / RECORD)
