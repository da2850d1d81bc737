"""Heat maps of every backbone, of the shipped model on phantoms, and where there is none to give."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from headct_molre.data.phantom import make_phantom
from headct_molre.errors import InvalidRequest, NotFound, StudyRefused
from headct_molre.explain import heatmap
from headct_molre.explain.head import head_mask
from headct_molre.explain.heatmap import check_finding, heat_map, patch_grid
from headct_molre.explain.preview import preview
from headct_molre.explain.probe import Probe
from headct_molre.explain.relevance import blurred, patch_sums, relevance
from headct_molre.findings import finding_keys
from headct_molre.imaging.pipeline import prepare_volume
from headct_molre.imaging.prepare import Prepared
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.checkpoint import load_card, load_classifier
from headct_molre.schema import FindingResult
from small_backbones import small_backbones, use_small_backbones
from trained_versions import active_classifier, install_backbone

STUDY = Path(__file__).parents[3] / "benchmarks" / "heatmap.py"
KEY = "epidural_hematoma"
EVERY = pytest.mark.parametrize("name", backbone_names())


@pytest.fixture(scope="module")
def demo():
    return load_classifier("demo")


@pytest.fixture(scope="module")
def prepared():
    return prepare_volume(make_phantom(4_000_011).volume).prepared


@pytest.fixture(scope="module")
def study():
    """The study of `benchmarks/heatmap.py`, so that the test and the documentation measure the same."""
    import sys

    spec = importlib.util.spec_from_file_location("heatmap_study", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules["heatmap_study"] = module
    spec.loader.exec_module(module)
    return module


def result(key=KEY, positive=True):
    probability = 0.5 if positive else 0.05
    return FindingResult(key=key, probability=probability, logit=0.0, bias=0.0, operating_point=0.1, positive=positive, estimable=True)


def small_classifier(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    install_backbone(tmp_path, small_backbones()[name])
    spec = backbone_spec(name)
    return active_classifier(spec)[0].requires_grad_(False), spec


def textured(spec, slices):
    """HU (slices, H, W) of a textured ellipsoid on a backbone's grid."""
    side = spec.grid.field_px
    y, x = np.mgrid[:side, :side] - side / 2
    inside = np.hypot(x / 70, y / 90) < 1
    noise = np.kron(np.random.default_rng(1).uniform(0, 80, (slices, side // 8, side // 8)), np.ones((8, 8)))
    return np.where(inside, noise, -1000).astype(np.float32)


@EVERY
def test_every_backbone_gives_a_map_on_its_key_slices_inside_the_head(name, tmp_path, monkeypatch):
    classifier, spec = small_classifier(name, tmp_path, monkeypatch)
    monkeypatch.setattr(heatmap, "FLAT", 0)  # random weights see next to no difference between slices
    slices = spec.depth if not spec.grid.trimmed else 10
    study = Prepared(textured(spec, slices), np.eye(4))
    card = load_card("demo").model_copy(update={"calibration": {}, "findings": list(finding_keys())})
    found = None
    for key in card.operating_points:  # random networks have no evidence for some findings
        try:
            found = heat_map(classifier, spec, card, study, result(key))
            break
        except StudyRefused:
            continue
    assert found is not None
    assert found.values.shape == study.hu.shape
    assert found.values.dtype == np.float32
    assert (found.values.min(), found.values.max()) == (0, 1)
    assert set(np.flatnonzero(found.values.any((1, 2)))) <= set(found.slices)
    assert len(found.slices) * spec.grid.spacing_mm[0] <= 32
    assert not found.values[~head_mask(study.hu)].any()
    shown = found.values[found.slices[0]]
    assert len(np.unique(shown)) <= 1 + np.prod(patch_grid(spec))
    again = heat_map(classifier, spec, card, study, result(found.finding))
    np.testing.assert_array_equal(again.values, found.values)


@pytest.mark.parametrize("name", [name for name in backbone_names() if name != "deepcntd"])  # its norms need far more steps
def test_the_patches_sum_to_the_logits_rise_from_the_blurred_slice(name, tmp_path, monkeypatch):
    """Completeness, the axiom of integrated gradients, whatever the network; the steps leave a little."""
    classifier, spec = small_classifier(name, tmp_path, monkeypatch)
    probe = Probe(classifier, spec, textured(spec, spec.depth if not spec.grid.trimmed else 6), 3)
    volume = not probe.moves_alone()
    slices = torch.arange(len(probe.windows)) if volume else torch.tensor([2])
    sums = relevance(probe, slices, patch_grid(spec), spec.field_mm).sum()
    start = blurred(probe.windows[slices], tuple(16 * px / mm for px, mm in zip(probe.windows.shape[-2:], spec.field_mm, strict=True)))
    with torch.no_grad():
        if volume:
            logits = [classifier(windows[None], probe.mask[None]).logits[0, 3] for windows in (probe.windows, start)]
        else:
            logits = [probe.logits(windows, slices)[0] for windows in (probe.windows[slices], start)]
    assert float(sums) == pytest.approx(float(logits[0] - logits[1]), rel=0.25, abs=0.05 * float(logits[0].abs()) + 1e-4)


def test_the_gradient_of_the_deepcntd_style_goes_through_its_segmentation_networks_too(tmp_path, monkeypatch):
    classifier, spec = small_classifier("deepcntd", tmp_path, monkeypatch)
    probe = Probe(classifier, spec, textured(spec, 20), 3)
    gradient = probe.gradient(probe.windows, torch.arange(len(probe.windows)))
    way = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        ahead, behind = (classifier((probe.windows + sign * way)[None], probe.mask[None]).logits[0, 3] for sign in (1, -1))
    assert float(ahead - behind) == pytest.approx(2 * float((gradient * way).sum()), rel=0.1)


def test_blurring_keeps_what_is_even_and_patches_keep_the_sum():
    images = torch.rand(2, 3, 37, 50)
    torch.testing.assert_close(blurred(torch.full((1, 2, 20, 30), 0.4), (3.0, 5.0)), torch.full((1, 2, 20, 30), 0.4))
    assert blurred(images, (4.0, 4.0)).var() < 0.1 * images.var()
    torch.testing.assert_close(patch_sums(images[..., :36, :48], (6, 4)).sum((2, 3)), images[..., :36, :48].sum((2, 3)))


def test_a_finding_of_the_phantom_is_looked_for_where_it_was_planted(demo, prepared):
    classifier, card, spec = demo
    found = heat_map(classifier, spec, card, prepared, result())
    peak = np.argwhere(found.values == 1)
    # On the left in front, S 13 to 33 mm: what phantom 4000011 has there is its epidural hematoma.
    assert (peak[:, 2] > 160).all()
    assert (peak[:, 1] < 110).all()
    assert found.description == "where the model looked: epidural_hematoma, not a lesion outline"
    assert found.note is None


def test_a_map_ends_at_the_next_step_when_nobody_waits_for_it(demo, prepared):
    classifier, card, spec = demo
    steps = []

    def boundary():
        steps.append(1)
        if len(steps) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        heat_map(classifier, spec, card, prepared, result(), boundary=boundary)
    assert len(steps) == 3


def test_a_finding_that_was_not_called_gets_a_note(demo, prepared):
    classifier, card, spec = demo
    found = heat_map(classifier, spec, card, prepared, result(positive=False))
    assert "did not call this finding" in found.note
    assert found.note in found.lines


def test_without_evidence_there_is_no_map_but_a_sentence(demo, prepared):
    classifier, card, spec = demo
    with pytest.raises(StudyRefused, match="No heat map: no slice") as caught:
        heat_map(classifier, spec, card, prepared, result("sinusitis"))
    assert caught.value.code == "no_evidence"
    alike = dataclasses.replace(prepared, hu=np.repeat(prepared.hu[19:20], 30, 0))
    with pytest.raises(StudyRefused, match="evenly") as caught:
        heat_map(classifier, spec, card, alike, result())
    assert caught.value.code == "flat_evidence"


def test_an_unknown_finding_is_refused_with_the_nearest_and_an_untested_one_by_name():
    card = load_card("demo")
    for wrong in ("epidural_hematom", "extradural hematoma", "EDH"):
        with pytest.raises(NotFound, match="epidural_hematoma"):
            check_finding(wrong, card)
    with pytest.raises(NotFound, match="findings"):
        check_finding("qqqq", card)
    untested = next(key for key in finding_keys() if key not in card.operating_points)
    with pytest.raises(InvalidRequest, match=f"does not assess {untested}"):
        check_finding(untested, card)


def test_the_picture_is_a_png_of_every_slice_shown(demo, prepared):
    classifier, card, spec = demo
    found = heat_map(classifier, spec, card, prepared, result())
    png = preview(found)
    assert png.startswith(b"\x89PNG")
    few = dataclasses.replace(found, slices=found.slices[:1])
    width, narrow = (int.from_bytes(picture[16:20]) for picture in (png, preview(few)))
    assert width > narrow


@pytest.mark.parametrize("key", ["a" * 35])
def test_the_longest_key_fits_into_the_header_but_for_a_letter(key):
    assert max(len(known) for known in finding_keys()) == len(key)
    assert len(f"where the model looked: {key}, not a lesion outline") == 81


def test_maps_find_planted_lesions_and_chance_does_not(study, demo):
    """A handful of phantoms; the slow test below does the same on enough of them to hold the documented share."""
    shares = hits(study, demo, range(4_000_010, 4_000_012))
    assert shares["integrated gradients"] >= 0.5
    assert shares["integrated gradients"] > shares["random"] + 0.3


@pytest.mark.slow
def test_at_least_70_percent_of_planted_lesions_hold_the_hottest_5_percent(study, demo):
    shares = hits(study, demo, range(study.FIRST_SEED, study.FIRST_SEED + 60))
    assert shares["integrated gradients"] >= 0.7
    assert shares["integrated gradients"] > shares["random"] + 0.4


def hits(study, demo, seeds):
    """Share of true positives of focal findings that are hit, by method."""
    classifier, card, spec = demo
    found = {"integrated gradients": [], "random": []}
    for seed in seeds:
        for case in study.true_positives(classifier, card, spec, seed):
            for name, shares in found.items():
                if case is None:  # no map is a miss
                    shares.append(False)
                    continue
                probe = study.probe_of(classifier, card, spec, case.prepared, case.key)
                patches = study.METHODS[name](probe, torch.from_numpy(case.slices), spec)
                shares.append(study.located(study.on_grid(patches, spec), case, spec)["hit"])
    return {name: float(np.mean(shares)) for name, shares in found.items()}
