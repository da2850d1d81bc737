"""The paper's Table 2 on a cohort of one's own: every backbone as baseline and with MoLRE, over several seeds, one run after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.cohort import read_manifest
from ..errors import InvalidRequest, ModelUnavailable
from ..evaluation.evaluate import Report
from ..evaluation.report import HTML_FILE, JSON_FILE, evaluate_cohort, write_report
from ..hashing import file_sha256
from ..models.backbones import backbone_names, backbone_spec
from ..models.backbones.spec import BackboneSpec
from ..models.checkpoint import read_card
from ..models.locations import backbone_path
from ..models.published import TABLE_2
from ..models.weights import weight_files, weights_sha256
from .config import TrainingConfig
from .distributed import Group
from .finished import finished_run, judged_split, refusals, run_scores
from .run import RunOptions, run
from .run_record import RunRecord

logger = logging.getLogger(__name__)

BASELINE, MOLRE = "baseline", "molre"


@dataclass(frozen=True)
class Arm:
    """One row of the table: a model as `baseline` or with `molre`; the settings of its first seed, and its weights' hash or None."""

    spec: BackboneSpec
    name: str
    config: TrainingConfig
    backbone_sha256: str | None

    def config_of(self, seed: int) -> TrainingConfig:
        """The settings of one seed's run."""
        return self.config.model_copy(update={"seed": seed})


@dataclass(frozen=True)
class Bench:
    """What is compared: all arms in the order of the table, the seeds, the manifest, and the folder of everything that is written."""

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    manifest: Path
    manifest_sha256: str
    out: Path

    def folder(self, arm: Arm, seed: int) -> Path:
        """Where the run of an arm and a seed lies."""
        return self.out / arm.spec.name / arm.name / f"seed-{seed}"

    def comparison(self, model: str, seed: int) -> Path:
        """Where the report of MoLRE against the baseline lies."""
        return self.out / model / f"comparison-seed-{seed}"

    def finished(self, arm: Arm, seed: int) -> RunRecord | None:
        """The record of a run that ended; None where it did not, or the weights are missing."""
        if arm.backbone_sha256 is None:
            return None
        return finished_run(self.folder(arm, seed), arm.config_of(seed), self.manifest_sha256, arm.backbone_sha256)


def plan_bench(
    models: Sequence[str] | None,
    seeds: Sequence[int],
    manifest: Path,
    out: Path,
    config_of: Callable[[str], TrainingConfig],
    mark_missing: bool = False,
) -> Bench:
    """The arms of these models, or of the paper's six; `config_of` gives the settings of a model, without `molre` and `seed`.

    Raises InvalidRequest for a model or settings that do not go, and where `out` holds runs of other inputs; ModelUnavailable where a model
    that was named, or every one of the six, has no weights, unless they are to be marked in the table.
    """
    names = list(TABLE_2) if models is None else list(models)
    unknown = [name for name in names if name not in backbone_names()]
    if unknown or not names or len(set(names)) < len(names):
        message = f"--models {','.join(names)!r} is not a list of different models; there are {', '.join(backbone_names())}."
        raise InvalidRequest("unknown_model", message, field="models")
    specs = [backbone_spec(name) for name in names]
    hashes = {}
    for spec in specs:
        try:
            hashes[spec.name] = weights_sha256(weight_files(spec, backbone_path(spec.name)))
        except ModelUnavailable as error:
            if error.code != "backbone_missing" or (models is not None and not mark_missing):
                raise
    if not hashes and not mark_missing:
        message = f"None of {', '.join(names)} has its weights here: `headct-molre models` says how to get them; --mark-missing goes on."
        raise ModelUnavailable("backbone_missing", message)
    arms = tuple(arm for spec in specs for arm in _arms(spec, config_of(spec.name), hashes.get(spec.name)))
    bench = Bench(arms, tuple(seeds), manifest, file_sha256(manifest), out)
    for arm in arms:
        for seed in seeds:
            bench.finished(arm, seed)  # refuses a folder of other inputs before any work
    return bench


def train_bench(bench: Bench, options: RunOptions, group: Group) -> Iterator[Arm]:
    """Train what is not finished, seed after seed of each arm, and yield each arm that is; `options` says all but the folder of a run.

    A run that was cut off is taken up where it stood. MoLRE's reports against the baseline are written as soon as both arms are there.
    """
    for arm in bench.arms:
        if arm.backbone_sha256 is None:
            continue
        for seed in bench.seeds:
            if bench.finished(arm, seed) is None:
                logger.info("%s, %s, seed %d", arm.spec.name, arm.name, seed)
                shared = bench.out / f"prepared-{bench.manifest_sha256[:12]}-{arm.spec.name}.json"
                run(arm.config_of(seed), replace(options, out=bench.folder(arm, seed), prepared=shared), group)
            if arm.name == MOLRE and group.first:
                _compare(bench, arm, seed)
        yield arm


def run_report(bench: Bench, arm: Arm, seed: int) -> Report:
    """The evaluation that a finished run left; that of MoLRE is the one with the comparison against the baseline."""
    folder = bench.comparison(arm.spec.name, seed) if arm.name == MOLRE else bench.folder(arm, seed) / "report"
    return Report.model_validate_json((folder / JSON_FILE).read_bytes())


def _arms(spec: BackboneSpec, config: TrainingConfig, backbone_sha256: str | None) -> list[Arm]:
    chosen = sorted(config.model_fields_set & {"molre", "seed"})
    if chosen:
        raise InvalidRequest("invalid_setting", f"Setting {chosen[0]}: the benchmark sets it itself; leave it out.", field=chosen[0])
    names = [BASELINE, MOLRE] if spec.molre else [BASELINE]
    return [Arm(spec, name, config.model_copy(update={"molre": name == MOLRE}), backbone_sha256) for name in names]


def _compare(bench: Bench, arm: Arm, seed: int) -> None:
    """Write the report of a MoLRE run against its baseline, unless it is there; the page is the last of its files."""
    folder = bench.comparison(arm.spec.name, seed)
    if (folder / HTML_FILE).is_file():
        return
    record = bench.finished(arm, seed)
    assert record is not None
    split = judged_split(record)
    own = bench.folder(arm, seed)
    baseline = run_scores(own.parents[1] / BASELINE / own.name, split)
    card = read_card(own / "models" / arm.spec.name / record.version)
    report = evaluate_cohort(
        read_manifest(bench.manifest, check_files=False).part(split),
        run_scores(own, split),
        card,
        against=baseline,
        against_name=f"{arm.spec.name} {BASELINE}",
        split=split,
        refused=refusals(own, split),
    )
    write_report(report, folder)
