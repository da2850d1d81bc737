"""One fine-tune from its folder to a candidate version: the worker process of the server, and of the command line."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from ...data.store import StudyStore
from ...errors import InvalidRequest
from ...models.aliases import set_alias
from ...models.checkpoint import champion_folder, write_version
from ...models.locations import home
from ...models.versions import card_of, gate_folder, served_version
from ...output import write_whole
from ...schema import ModelCard
from ..gate import GateReport, HeldOut, judge
from ..gate.report import write_gate_report
from .card import tuned_card
from .champion import champion_scores
from .config import FineTuneConfig
from .corrections import label_array, read_corrections
from .frozen import Evidence, tuned_frozen
from .inputs import Inputs, gather, patients_of
from .job_files import CHECKPOINT, CHOICE, ERROR, INPUTS, RESULT
from .lineage import base_folder
from .quick import tune_quickly
from .report_progress import Listener, Progress
from .split import check_trainable, split_corrections, usable
from .study_features import Places, StudyFeatures
from .task import FineTuneResult, FineTuneTask
from .tuned import Tuned


def run_task(task: FineTuneTask, folder: Path, listener: Listener | None = None) -> FineTuneResult:
    """Make the candidate that the task asks for, judge it and write it; a run that was cut off is taken up from `folder`.

    `listener` hears how far it is. The version appears whole and with its gate's report or not at all; it is never promoted here. Raises
    InvalidRequest where there is nothing to learn from, or nothing new, ModelUnavailable where the released version or its backbone are not
    there, HeadCTError `diverged`.
    """
    for name in (RESULT, ERROR):
        (folder / name).unlink(missing_ok=True)
    progress = Progress(folder, listener)
    with _threads(task.config.threads), _store(task) as store:
        progress.stage("corrections")
        corrections = usable(read_corrections(store, task.until, task.label_rule), task.config)
        split = split_corrections(corrections, task.config.held_out_share)
        check_trainable(split.trained, task.config)
        released, served = base_folder(task.model), champion_folder(task.model)
        progress.stage("features")
        places = Places(store, task.studies_folder, task.features_folder, task.prepared_folder)
        base = StudyFeatures(released, places, "cpu")
        inputs = gather(task, base, released, split, progress.tell)
        version = inputs.version(task.until)
        if version == served_version(task.model):
            message = f"Nothing new: these corrections and settings gave {version}, which is served already."
            raise InvalidRequest("nothing_new", message, status=409)
        _take_up(folder, inputs.sha256)
        progress.stage("training")
        tuned = _mode(task.config.mode)(inputs, released, task.config, folder, progress)
        progress.stage("gate")
        card = _card(task, inputs, tuned, version)
        report = _judged(task, inputs, tuned, card, served, places, progress)
        progress.stage("writing")
        _write(task.model, card, tuned, report)
        progress.end()
    result = FineTuneResult(
        version=version,
        parent=inputs.card.version,
        outcome=report.outcome,
        promotes_by_itself=report.promotes_by_itself,
        summary=report.summary,
        counts=_counts(inputs, task),
        metrics=_metrics(report, tuned),
        weights_sha256=card.weights_sha256,
        seconds=progress.seconds,
    )
    write_whole(folder / RESULT, result.model_dump_json(indent=1).encode())
    for name in (CHECKPOINT, CHOICE, INPUTS):
        (folder / name).unlink(missing_ok=True)
    return result


def _mode(name: str) -> Callable[[Inputs, Path, FineTuneConfig, Path, Progress], Tuned]:
    if name == "quick":
        return tune_quickly
    from .full import tune_fully  # brings the augmentation of images along, whose import takes longer than a quick fine-tune

    return tune_fully


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """With another number of threads, sums are taken in another order, and round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _store(task: FineTuneTask) -> Iterator[StudyStore]:
    store = StudyStore(task.store_url, label_rule=task.label_rule)
    try:
        yield store
    finally:
        store.close()


def _take_up(folder: Path, sha256: str) -> None:
    """Keep what an earlier process left where it comes from the same inputs, and else remove it."""
    path = folder / INPUTS
    with suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == sha256:
            return
    for name in (CHECKPOINT, CHOICE):
        (folder / name).unlink(missing_ok=True)
    write_whole(path, sha256.encode())


def _card(task: FineTuneTask, inputs: Inputs, tuned: Tuned, version: str) -> ModelCard:
    """The candidate's card, with the hash that its weights will have."""
    truth, logits, patients = [], [], []
    validation = inputs.validation()
    if validation is not None and tuned.source is not None:
        truth.append(validation[0].labels.numpy())
        logits.append(tuned.source)
        patients.append(validation[1])
    drawn = [row for row, one in enumerate(inputs.trained) if one.random]
    if drawn and tuned.out_of_fold is not None:
        truth.append(label_array([inputs.trained[row] for row in drawn]))
        logits.append(tuned.out_of_fold[drawn])
        patients.append(patients_of(inputs.trained)[drawn] + 1 + (0 if validation is None else int(validation[1].max())))
    none = np.zeros((0, tuned.held_out.shape[1]))
    evidence = Evidence(
        np.concatenate([none, *truth]), np.concatenate([none, *logits]), np.concatenate([np.zeros(0, int), *patients]).astype(int)
    )
    held_out = inputs.judge.labels.numpy(), tuned.held_out, patients_of(inputs.held_out)
    card = tuned_card(
        inputs.card,
        version,
        task.created,
        task.config,
        tuned.strength,
        _counts(inputs, task),
        tuned_frozen(inputs.card, evidence),
        held_out,
        tuned.adapters,
    )
    weights = save({name: tensor.detach().contiguous().cpu() for name, tensor in tuned.tensors.items()})
    return card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})


def _judged(
    task: FineTuneTask, inputs: Inputs, tuned: Tuned, card: ModelCard, served: Path, places: Places, progress: Progress
) -> GateReport:
    """The gate's report on the candidate against the version that is served."""
    champion = champion_scores(inputs, served, places, progress.tell)
    rows = champion.rows
    corrections = HeldOut(
        inputs.judge.labels.double().numpy()[rows],
        champion.held_out,
        tuned.held_out[rows],
        patients_of(inputs.held_out)[rows],
        np.array([one.reader for one in inputs.held_out], dtype=str)[rows],
    )
    validation, source = inputs.validation(), None
    if validation is not None and champion.source is not None and tuned.source is not None:
        source = HeldOut(validation[0].labels.double().numpy(), champion.source, tuned.source, validation[1])
    return judge(corrections, source, card_of(served), card, task.gate_policy, task.created)


def _write(model: str, card: ModelCard, tuned: Tuned, report: GateReport) -> None:
    """The gate's report, then the version, then the alias: whoever sees a version sees what the gate said of it.

    A version that was rejected waits for nobody, and so is no candidate. One that is there already is the same, by its name.
    """
    folder = home() / "models" / model
    for left in folder.glob(f".partial-*-{card.version}"):
        shutil.rmtree(left, ignore_errors=True)
    write_gate_report(report, gate_folder(model, card.version))
    if not (folder / card.version).exists() or card_of(folder / card.version).weights_sha256 != card.weights_sha256:
        write_version(folder, card, tuned.tensors)
    if report.outcome != "reject":
        set_alias(folder, "candidate", card.version)


def _counts(inputs: Inputs, task: FineTuneTask) -> dict[str, int]:
    replay = inputs.replay(task.config.replay_studies, task.config.seed) if task.config.replay_weight else None
    return {**inputs.counts, "replayed": 0 if replay is None or task.config.mode == "full" else len(replay)}


def _metrics(report: GateReport, tuned: Tuned) -> dict[str, float]:
    """What is finite of the mean AUCs, and how the fit went."""
    difference = report.corrections.difference
    found = {
        "strength": tuned.strength,
        **tuned.metrics,
        "champion_auc": difference.champion_auc,
        "candidate_auc": difference.candidate_auc,
        "difference": difference.value,
        "source_difference": None if report.source is None else report.source.difference.value,
    }
    return {name: float(value) for name, value in found.items() if value is not None and np.isfinite(value)}
