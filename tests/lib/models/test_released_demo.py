"""The shipped demo model is what its card says, and good enough to show."""

import pytest

from headct_molre.findings import finding_keys
from headct_molre.hashing import file_sha256
from headct_molre.models.checkpoint import load_card
from headct_molre.models.locations import SHIPPED
from required_findings import REQUIRED


@pytest.fixture(scope="module")
def card():
    return load_card("demo")


def test_it_is_marked_demo_and_says_how_it_was_made(card):
    assert card.demo
    assert card.findings == list(finding_keys())
    assert card.reproduce.startswith("python -m headct_molre.training.train_demo")
    assert "phantom" in " ".join(card.limitations)


def test_held_out_auc_is_stated_for_every_planted_finding(card):
    assert set(REQUIRED) <= set(card.metrics)
    assert all(metric.auc is not None and metric.positives >= 5 for metric in card.metrics.values())
    assert card.mean_auc >= 0.90


def test_only_findings_that_are_told_from_chance_are_called(card):
    assert len(card.operating_points) >= 24
    assert set(card.operating_points) <= set(card.calibration)
    assert all(card.metrics[key].auc > 0.8 for key in card.operating_points)


def test_its_files_are_small_and_have_the_hashes_of_the_card(card):
    folder = SHIPPED / "demo"
    assert file_sha256(folder / "backbone.safetensors") == card.backbone_sha256
    assert file_sha256(folder / card.version / "weights.safetensors") == card.weights_sha256
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) < 16e6
