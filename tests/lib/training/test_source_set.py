"""What a version brings along of its studies is read as it was, or not at all."""

import numpy as np
import pytest
import torch

from headct_molre.errors import ModelUnavailable
from headct_molre.models.checkpoint import SOURCE_SET, load_card, load_classifier, version_folder, write_version
from headct_molre.models.version_file import export_version, import_version
from headct_molre.training.finetune.head import FeatureClassifier
from headct_molre.training.source_set import SourceSet, drawn, read_source_set


def source_set(studies=6):
    features = [torch.randn(3 + number, 192).half() for number in range(studies)]
    labels = np.random.default_rng(0).choice([0.0, 1.0, np.nan, 0.5], (studies, 75))
    return SourceSet(features, labels, np.arange(studies) % 3 == 0, np.arange(studies) // 2)


@pytest.fixture
def version(tmp_path, monkeypatch):
    """A version of the demo with a source set, in a home of its own."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    classifier, card, _ = load_classifier("demo")
    folder = tmp_path / "home" / "models" / "demo"
    card = write_version(folder, card.model_copy(update={"version": "mine"}), classifier.trainable_state(), source_set().tensors())
    return folder / "mine", card


def test_is_read_as_it_was_written(version):
    wanted, found = source_set(), read_source_set(*version)
    assert [one.shape for one in found.features] == [one.shape for one in wanted.features]
    np.testing.assert_array_equal(found.labels, np.where(wanted.labels == 0.5, np.nan, wanted.labels))
    np.testing.assert_array_equal(found.validation, wanted.validation)
    np.testing.assert_array_equal(found.patients, wanted.patients)
    assert found.rows("validation").tolist() == [0, 3]
    assert found.rows("train").tolist() == [1, 2, 4, 5]


def test_a_damaged_one_is_refused(version):
    folder, card = version
    path = folder / SOURCE_SET
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="damaged or missing"):
        read_source_set(folder, card)
    path.unlink()
    with pytest.raises(ModelUnavailable, match="damaged or missing"):
        read_source_set(folder, card)


def test_travels_with_its_version(version, tmp_path, monkeypatch):
    folder, card = version
    export_version("demo", "mine", tmp_path / "mine.zip")
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "elsewhere"))
    assert import_version(tmp_path / "mine.zip") == card
    there = version_folder("demo", "mine")
    assert (there / SOURCE_SET).read_bytes() == (folder / SOURCE_SET).read_bytes()


def test_a_version_without_one_says_so(tmp_path):
    classifier, card, _ = load_classifier("demo")
    plain = write_version(tmp_path, card.model_copy(update={"version": "plain"}), classifier.trainable_state())
    assert plain.source_sha256 is None
    assert read_source_set(tmp_path / "plain", plain) is None


def test_the_demo_brings_the_studies_that_it_was_trained_and_validated_on():
    card = load_card("demo")
    source = read_source_set(version_folder("demo", card.version), card)
    assert len(source.rows("train")) == card.cohort["train_studies"]
    assert len(source.rows("validation")) == card.cohort["validation_studies"]
    # Features of this very backbone: on validation the version ranks as well as it was found to.
    examples = source.examples(source.rows("validation"))
    logits, truth = FeatureClassifier(load_classifier("demo")[0]).logits(examples), examples.labels.numpy()
    common = [column for column in range(75) if (truth[:, column] == 1).sum() >= 10]
    assert len(common) > 5
    for column in common:
        positive = truth[:, column] == 1
        assert logits[positive, column].mean() > logits[~positive, column].mean()


def test_a_large_cohort_gives_a_random_part_always_the_same():
    rows = drawn(10_000, seed=0, most=500)
    assert len(rows) == 500
    assert (np.diff(rows) > 0).all()
    assert (rows == drawn(10_000, seed=0, most=500)).all()
    assert drawn(20, seed=0).tolist() == list(range(20))
