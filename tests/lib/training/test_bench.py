"""Every backbone as baseline and with MoLRE: trained once, compared on the same studies, and a table that hides nothing."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import trained_versions
from headct_molre.data.cohort import ABSENT, PRESENT, Cohort, read_manifest, write_manifest
from headct_molre.data.phantom import write_cohort
from headct_molre.errors import InvalidRequest, ModelUnavailable
from headct_molre.evaluation.evaluate import evaluate_cohort
from headct_molre.evaluation.scores import read_scores
from headct_molre.models.published import TABLE_2
from headct_molre.training import bench as bench_module
from headct_molre.training.bench import plan_bench, run_report, train_bench
from headct_molre.training.bench_rows import MISSING, OPEN, TRAINED
from headct_molre.training.bench_table import write_table
from headct_molre.training.config import load_config
from headct_molre.training.distributed import Group
from headct_molre.training.run import RunOptions
from headct_molre.training.run_record import read_record
from small_backbones import small_backbones, use_small_backbones

SEEDS = (0, 1)
SETTINGS = [
    *("min_epochs=3", "max_epochs=3", "warmup_epochs=0", "batch_studies=1", "head_rate=0.05", "adapter_rate=0.05"),
    *("selection_minimum=1", "augmentation.enabled=false", "precision=fp32"),
]


def config_of(model):
    return load_config(model, None, SETTINGS)


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        use_small_backbones(patch.setattr)
        yield patch


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """18 phantoms, 4 to train, 4 to validate and 10 to test, with findings that each split can judge."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_cohort(folder, 18, seed=3, matrix=128)
    cohort = read_manifest(folder / "cohort.csv")
    splits = ["train"] * 4 + ["validation"] * 4 + ["test"] * 10
    states = cohort.states.copy()
    rng = np.random.default_rng(0)
    for part in (slice(0, 4), slice(4, 8), slice(8, 18)):  # half of each split has each of four findings
        half = np.arange(part.stop - part.start) % 2
        states[part, :4] = np.where(np.stack([rng.permutation(half) for _ in range(4)], axis=1), PRESENT, ABSENT)
    studies = [replace(study, split=split) for study, split in zip(cohort.studies, splits, strict=True)]
    write_manifest(Cohort(tuple(studies), states), folder / "splits.csv")
    return folder / "splits.csv"


@pytest.fixture(scope="module")
def trained(small, manifest, tmp_path_factory):
    """DINOv3 base and DeepCNTD are here, the other four models have no weights."""
    home, out = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bench") / "table"
    small.setenv("HEADCT_MOLRE_HOME", str(home))
    for name in ("dinov3_base", "deepcntd"):
        trained_versions.install_backbone(home, small_backbones()[name])
    options = RunOptions(manifest, out, tmp_path_factory.mktemp("cache"), 10**10, workers=0)
    plan = plan_bench(None, SEEDS, manifest, out, config_of)
    out.mkdir()
    waiting = write_table(plan)
    list(train_bench(plan, options, Group(0, 1, torch.device("cpu"))))
    return plan, options, waiting, write_table(plan)


def row_of(rows, model, arm):
    return next(row for row in rows if (row["model"], row["arm"]) == (model, arm))


def test_the_rows_are_those_of_the_paper(trained):
    rows = trained[3]
    expected = [(name, arm) for name in TABLE_2 for arm in (("baseline", "molre") if name != "deepcntd" else ("baseline",))]
    assert [(row["model"], row["arm"]) for row in rows] == expected
    assert [row["published"]["mean_auc"] for row in rows[:2]] == [0.856, 0.902]


def test_a_model_without_weights_stays_with_its_parameters(trained):
    plan, _, waiting, rows = trained
    missing = row_of(rows, "medgemma", "molre")
    assert missing["status"] == MISSING
    assert missing["mean_auc"] is None
    assert missing["molre_parameters"] > 0
    assert "weights missing" in (plan.out / "table.md").read_text()
    assert row_of(waiting, "dinov3_base", "molre")["status"] == OPEN


def test_the_parameters_are_those_that_a_run_trained(trained):
    plan, _, _, rows = trained
    for arm in plan.arms:
        if arm.backbone_sha256 is not None:
            counted = read_record(plan.folder(arm, 0) / "run.json").trainable_parameters
            row = row_of(rows, arm.spec.name, arm.name)
            assert (row["trainable_parameters"], row["molre_parameters"]) == (counted["all"], counted["molre"])
    baseline, molre = row_of(rows, "dinov3_base", "baseline"), row_of(rows, "dinov3_base", "molre")
    assert molre["trainable_parameters"] - baseline["trainable_parameters"] == molre["molre_parameters"]
    assert molre["total_parameters"] - baseline["total_parameters"] == molre["molre_parameters"]


def test_the_numbers_are_the_evaluations(trained):
    plan, _, _, rows = trained
    cohort = read_manifest(plan.manifest).part("test")
    differences = []
    for seed in SEEDS:
        baseline, molre = (read_scores(plan.folder(arm, seed) / "scores" / "test.csv") for arm in plan.arms[:2])
        report = evaluate_cohort(cohort, molre, against=baseline)
        row = row_of(rows, "dinov3_base", "molre")["seeds"][seed]
        assert row["macro_auc"] == report.summary.macro_auc.model_dump()
        assert row["difference"] == report.comparison.macro_difference.model_dump()
        assert row["above_090_by_lower_bound"] == report.summary.above_090_by_lower_bound
        assert (plan.comparison("dinov3_base", seed) / "evaluation.html").is_file()
        differences.append(report.comparison.macro_difference.value)
    assert any(differences)
    row = row_of(rows, "dinov3_base", "molre")
    assert row["status"] == TRAINED
    assert row["findings_estimable"] >= 4
    assert row["mean_auc"] == pytest.approx(np.mean([seed["macro_auc"]["value"] for seed in row["seeds"]]))
    assert row["sd_auc_over_seeds"] == pytest.approx(np.std([seed["macro_auc"]["value"] for seed in row["seeds"]], ddof=1))
    assert row["difference"]["value"] == pytest.approx(np.mean(differences))
    assert row_of(rows, "deepcntd", "baseline")["difference"] is None


def test_the_files_hold_the_rows(trained):
    plan, _, _, rows = trained
    assert json.loads((plan.out / "table.json").read_text())["rows"] == json.loads(json.dumps(rows))
    with (plan.out / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["mean_auc"]) for line in lines if line["mean_auc"]] == [
        row["mean_auc"] for row in rows if row["mean_auc"] is not None
    ]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_a_finished_run_is_not_repeated_and_a_missing_one_is(trained, monkeypatch):
    plan, options, _, _ = trained
    lost = plan.folder(plan.arms[1], 1)
    shutil.rmtree(lost)
    repeated = []
    real = bench_module.run
    monkeypatch.setattr(bench_module, "run", lambda config, where, group: (repeated.append(where.out), real(config, where, group)))
    arms = list(train_bench(plan, options, Group(0, 1, torch.device("cpu"))))
    assert repeated == [lost]
    assert [arm.spec.name for arm in arms] == ["dinov3_base", "dinov3_base", "deepcntd"]
    assert run_report(plan, plan.arms[1], 1).comparison is not None


def test_another_manifest_or_setting_is_refused_before_any_work(trained, tmp_path):
    plan = trained[0]
    with pytest.raises(InvalidRequest, match="head_rate"):
        plan_bench(None, SEEDS, plan.manifest, plan.out, lambda model: load_config(model, None, [*SETTINGS, "head_rate=0.01"]))
    other = tmp_path / "other.csv"
    other.write_text(plan.manifest.read_text() + "\n")
    with pytest.raises(InvalidRequest, match="manifest_sha256"):
        plan_bench(None, SEEDS, other, plan.out, config_of)


def test_a_named_model_without_weights_is_refused_unless_it_is_to_be_marked(trained, tmp_path):
    plan = trained[0]
    with pytest.raises(ModelUnavailable, match="medgemma"):
        plan_bench(["dinov3_base", "medgemma"], SEEDS, plan.manifest, tmp_path, config_of)
    marked = plan_bench(["dinov3_base", "medgemma"], SEEDS, plan.manifest, tmp_path, config_of, mark_missing=True)
    assert [arm.backbone_sha256 is None for arm in marked.arms] == [False, False, True, True]


@pytest.mark.parametrize("setting", ["molre=false", "seed=4"])
def test_what_the_benchmark_sets_itself_is_refused(trained, tmp_path, setting):
    with pytest.raises(InvalidRequest, match="sets it itself"):
        plan_bench(None, SEEDS, trained[0].manifest, tmp_path, lambda model: load_config(model, None, [setting]))
