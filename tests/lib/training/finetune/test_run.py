"""From a store of corrections to a judged candidate; wrong corrections never get past the gate."""

import json
import math

import numpy as np
import pytest

from corrected_studies import shifted_site, true_reader
from headct_molre.errors import InvalidRequest
from headct_molre.models.aliases import read_aliases
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.versions import card_of, find_version, gate_folder, list_versions, promote, served_version
from headct_molre.training.finetune.job_files import PROGRESS, RESULT
from headct_molre.training.finetune.lineage import base_folder
from headct_molre.training.finetune.run import run_task
from headct_molre.training.finetune.task import FineTuneProgress

ENOUGH = 300


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def good_site(tmp_path_factory):
    return shifted_site(tmp_path_factory.mktemp("site"), ENOUGH)


def tuned(site, config=None, name="job", **task):
    task = site.task(config, **task)
    return run_task(task, site.job(task, name))


def test_corrections_make_a_better_version_of_the_site(good_site, home):
    result = tuned(good_site, {"epochs": 15, "replay_studies": 300})
    assert result.outcome == "promote", result.summary
    assert result.metrics["candidate_auc"] > result.metrics["champion_auc"] + 0.01
    assert not result.promotes_by_itself, "the policy leaves it to a person if not told otherwise"
    assert served_version("demo") == "2.0"
    assert read_aliases(home / "models" / "demo").candidate == result.version

    card = card_of(find_version("demo", result.version))
    assert (card.parent, card.demo, card.created) == ("2.0", True, good_site.task().created)
    assert result.counts["trained"] + result.counts["held_out"] == ENOUGH
    assert card.cohort["correction_trained"] == result.counts["trained"]
    assert card.hyperparameters["finetune_strength"] == result.metrics["strength"]
    assert set(card.operating_points) >= set(card_of(find_version("demo", "2.0")).operating_points)
    assert len(card.metrics) == 75 or all(metric.positives + metric.negatives for metric in card.metrics.values())
    assert (gate_folder("demo", result.version) / "gate.html").is_file()

    job = good_site.folder / "job"
    progress = FineTuneProgress.model_validate_json((job / PROGRESS).read_bytes())
    assert (progress.stage, progress.percentage) == ("writing", 100.0)
    assert {path.name for path in job.iterdir()} == {"task.json", PROGRESS, RESULT}
    assert all(math.isfinite(value) for value in json.loads((job / RESULT).read_bytes())["metrics"].values())

    # Promoted, it is served, and the next fine-tune starts from the released version again.
    promote("demo", "a trainer")
    assert load_classifier("demo")[1].version == result.version
    assert base_folder("demo").name == "2.0"
    with pytest.raises(InvalidRequest, match="Nothing new") as refused:
        tuned(good_site, {"epochs": 15, "replay_studies": 300})
    assert refused.value.code == "nothing_new"
    again = tuned(good_site, {"seed": 1})
    assert again.parent == "2.0"
    report = json.loads((gate_folder("demo", again.version) / "gate.json").read_bytes())
    assert report["champion"]["version"] == result.version


def test_the_same_task_gives_the_same_bits(good_site, tmp_path, monkeypatch):
    made = []
    for number in range(2):
        monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / f"home-{number}"))
        version = tuned(good_site, {"epochs": 2, "choice_epochs": 1}, until=100).version
        folder = find_version("demo", version)
        made.append([version, *((folder / name).read_bytes() for name in ("weights.safetensors", "model.json"))])
    assert made[0] == made[1]


def nothing_happened(home):
    assert served_version("demo") == "2.0"
    load_classifier("demo")


def test_flipped_labels_are_rejected(tmp_path, home):
    site = shifted_site(tmp_path / "site", ENOUGH, lambda row, truth: (f"reader-{row % 3}", 1 - truth))
    result = tuned(site)
    assert result.outcome == "reject"
    report = json.loads((gate_folder("demo", result.version) / "gate.json").read_bytes())
    assert report["reasons"][0]["code"] == "labels_contradict"
    assert read_aliases(home / "models" / "demo").candidate is None, "what was rejected waits for nobody"
    nothing_happened(home)


def test_a_reader_whose_calls_are_random_is_named(tmp_path, home):
    rng = np.random.default_rng(3)

    def readers(row, truth):
        if row % 3:
            return true_reader(row, truth)
        return "reader-0", np.where(np.isnan(truth), np.nan, (rng.random(75) < 0.25).astype(float))

    result = tuned(shifted_site(tmp_path / "site", ENOUGH, readers))
    assert result.outcome in ("hold", "reject")
    report = json.loads((gate_folder("demo", result.version) / "gate.json").read_bytes())
    said = {reason["code"]: reason["sentence"] for reason in report["reasons"]}
    assert "reader-0" in said["reader_unlike_others"]
    assert "reader-1" not in said["reader_unlike_others"]
    nothing_happened(home)


@pytest.mark.parametrize(
    ("studies", "reader", "code"),
    [
        (3, true_reader, "too_few_corrections"),
        (60, lambda row, truth: ("anna", np.where(truth == 1, 1.0, np.nan)), "one_class_only"),
    ],
)
def test_what_cannot_teach_is_refused_before_any_work(tmp_path, home, studies, reader, code):
    site = shifted_site(tmp_path / "site", studies, reader)
    with pytest.raises(InvalidRequest) as refused:
        tuned(site)
    assert refused.value.code == code
    assert [entry.version for entry in list_versions("demo")] == ["2.0"]
    nothing_happened(home)


def test_without_held_out_corrections_the_gate_holds(tmp_path, home):
    site = shifted_site(tmp_path / "site", 40, random_share=0.0)
    result = tuned(site, {"epochs": 2, "choice_epochs": 1})
    assert result.outcome == "hold"
    assert result.counts["held_out"] == 0
    card = card_of(find_version("demo", result.version))
    assert card.metrics == {}
    assert any("No correction was held out" in sentence for sentence in card.limitations)


def test_studies_whose_images_and_features_are_gone_are_counted_and_left_out(tmp_path, home):
    site = shifted_site(tmp_path / "site", 60)
    features = sorted((site.folder / "features").rglob("*.safetensors"))
    for path in features[:7]:
        path.unlink()
    result = tuned(site, {"epochs": 2, "choice_epochs": 1, "minimum_corrections": 10})
    assert result.counts["without_images"] == 7
    assert result.counts["trained"] + result.counts["held_out"] == 53
