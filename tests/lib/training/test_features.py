"""Cached features are those of the backbone, computed once, and never half of them."""

import numpy as np
import pytest
import torch

from headct_molre.data.cohort import Cohort, CohortStudy
from headct_molre.data.feature_cache import FeatureCache
from headct_molre.models.weights import load_backbone
from headct_molre.training.distributed import Group
from headct_molre.training.features import embed
from headct_molre.training.prepared_cohort import PreparedCohort
from small_backbones import small_backbones, use_small_backbones
from trained_versions import active_classifier, install_backbone

ALONE = Group(0, 1, torch.device("cpu"))


class Volumes:
    """In the place of the cache of prepared studies: random heads of 3 to 5 slices."""

    def __init__(self) -> None:
        self.read = 0

    def get(self, content, grid):
        self.read += 1
        rng = np.random.default_rng(int(content))
        hu = rng.normal(30, 20, (3 + int(content), 256, 256)).astype(np.float32)
        return type("Study", (), {"prepared": type("Prepared", (), {"hu": hu})})


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    spec = small_backbones()["dinov3_base"].spec
    install_backbone(tmp_path, small_backbones()["dinov3_base"])
    _, sha256 = load_backbone(spec)
    classifier, _ = active_classifier(spec)
    studies = tuple(CohortStudy(f"s{i}", tmp_path, f"p{i}") for i in range(3))
    prepared = PreparedCohort(Cohort(studies, np.zeros((3, 75), np.uint8)), ("0", "1", "2"), Volumes(), spec.grid, ())
    cache = FeatureCache(tmp_path / "features", spec, sha256, classifier.input_px, "fp32")
    return classifier, spec, prepared, cache


def test_equal_the_backbones_own_up_to_storage(setting):
    classifier, spec, prepared, cache = setting
    found = embed(classifier, spec, prepared, cache, 0, False, ALONE)
    assert [tuple(features.shape) for features, _ in found] == [(3, spec.dimension), (4, spec.dimension), (5, spec.dimension)]
    from headct_molre.models.backbones.spec import model_input

    slices, mask = model_input(spec, prepared.hu(1), classifier.input_px)
    with torch.inference_mode():
        direct = classifier.features(slices[None], mask[None])[0]
    torch.testing.assert_close(found[1][0], direct, rtol=1e-3, atol=1e-3)


def test_a_second_run_reads_no_image(setting):
    classifier, spec, prepared, cache = setting
    first = embed(classifier, spec, prepared, cache, 0, False, ALONE)
    before = prepared.cache.read
    again = embed(classifier, spec, prepared, cache, 0, False, ALONE)
    assert prepared.cache.read == before
    assert all(torch.equal(one, two) for (one, _), (two, _) in zip(first, again, strict=True))


def test_a_damaged_file_is_computed_again(setting):
    classifier, spec, prepared, cache = setting
    first = embed(classifier, spec, prepared, cache, 0, False, ALONE)
    cache.path("1").write_bytes(b"half")
    again = embed(classifier, spec, prepared, cache, 0, False, ALONE)
    assert torch.equal(first[1][0], again[1][0])


def test_other_weights_sizes_and_precisions_have_folders_of_their_own(setting, tmp_path):
    _, spec, _, cache = setting
    others = [
        FeatureCache(tmp_path / "features", spec, "0" * 64, spec.input_px, "fp32"),
        FeatureCache(tmp_path / "features", spec, "0" * 64, (80, 80), "fp32"),
        FeatureCache(tmp_path / "features", spec, "0" * 64, spec.input_px, "bf16"),
    ]
    assert len({cache.folder, *(other.folder for other in others)}) == 4
