"""The whole way with the shipped demo model: a study on disk in, a Prediction out."""

import json
import math

import numpy as np
import pytest
import torch

from headct_molre.data.cache import PredictionCache
from headct_molre.data.phantom import LABELS_FILE, write_cohort
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.errors import InvalidRequest, ModelUnavailable, NotFound, StudyRefused
from headct_molre.findings import finding_keys
from headct_molre.imaging.align import align
from headct_molre.imaging.prepare import prepare, windows
from headct_molre.imaging.read import read_study
from headct_molre.models.backbones.spec import to_input
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.engines import usable_engines
from headct_molre.predict import Predictor, study_id
from headct_molre.schema import Prediction
from shared_data import shared_ct


@pytest.fixture(scope="module")
def predictor():
    return Predictor("demo", device="cpu")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("phantoms"), 1, seed=21)[0]


@pytest.fixture(scope="module")
def prediction(predictor, phantom):
    return predictor.predict(phantom, "phantom-0001")


def test_75_findings_and_every_number_is_finite(prediction):
    assert [result.key for result in prediction.findings] == list(finding_keys())
    document = json.loads(prediction.to_json(), parse_constant=lambda name: pytest.fail(f"{name} on the wire"))
    assert Prediction.model_validate(document) == prediction


def test_evidence_and_bias_sum_to_the_networks_own_logit(phantom, prediction):
    classifier, card, spec = load_classifier("demo")
    volume = read_study(phantom)
    prepared = prepare(volume, align(volume).standard_from_ras)
    with torch.no_grad():
        features = classifier.features(to_input(spec, torch.from_numpy(windows(prepared.hu)))[None])
        adapted, _ = classifier.molre(features)
        pooled = torch.einsum("bs,bsd->bd", classifier.pooling(adapted), adapted)
        logits = dict(zip(card.findings, classifier.head(pooled)[0].tolist(), strict=True))
    for result, evidence in zip(prediction.findings, prediction.evidence, strict=True):
        calibration = card.calibration.get(result.key)
        expected = logits[result.key] if calibration is None else calibration.slope * logits[result.key] + calibration.intercept
        assert sum(evidence) + result.bias == pytest.approx(expected, abs=1e-5)
        assert result.logit == pytest.approx(expected, abs=1e-5)
        assert result.probability == pytest.approx(1 / (1 + math.exp(-expected)), abs=1e-5)


def test_what_the_model_never_learned_is_not_estimable_and_neither_found_nor_ruled_out(predictor, prediction):
    called, learned = set(predictor.card.operating_points), set(predictor.card.metrics)
    assert 0 < len(called) < len(learned) < 75
    for result in prediction.findings:
        assert result.estimable == (result.key in called)
        if result.estimable:
            assert result.positive == (result.probability >= result.operating_point)
        else:
            assert (result.positive, result.operating_point) == (None, None)
        if result.key not in learned:
            assert result.probability == 0.5


def test_weights_of_slices_and_experts_sum_to_one(prediction):
    assert sum(item.attention for item in prediction.slices) == pytest.approx(1, abs=1e-9)
    assert all(sum(item.router) == pytest.approx(1, abs=1e-9) and len(item.router) == 6 for item in prediction.slices)


def test_slice_centres_follow_from_the_frame_and_rise(prediction):
    to_ras = np.array(prediction.frame.model_to_ras)
    slices, rows, columns = prediction.frame.shape
    assert slices == len(prediction.slices)
    for item in prediction.slices:
        centre = to_ras @ [item.index, (rows - 1) / 2, (columns - 1) / 2, 1]
        np.testing.assert_allclose(item.center_ras, centre[:3], atol=1e-6)
    assert np.all(np.diff([item.center_ras[2] for item in prediction.slices]) > 0)


def test_the_demo_model_says_that_it_is_one(prediction):
    assert prediction.model.demo
    assert prediction.model.name == "demo"


def test_the_same_study_gives_the_same_prediction(predictor, phantom, prediction):
    again = predictor.predict(phantom, "phantom-0001")
    assert again.model_copy(update={"timing_ms": {}}) == prediction.model_copy(update={"timing_ms": {}})


def test_a_repeat_comes_from_the_cache_under_the_name_that_was_asked(phantom, prediction, tmp_path):
    cache = PredictionCache(tmp_path)
    first = Predictor("demo", "cpu", cache).predict(phantom, "miller-1961")
    second = Predictor("demo", "cpu", cache).predict(phantom, "second-name")
    assert set(second.timing_ms) == {"cache", "total"}
    assert "model" in first.timing_ms
    assert second.study == "second-name"
    assert second.findings == first.findings == prediction.findings
    assert "miller" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_an_engine_that_is_asked_for_is_not_answered_from_another_ones_prediction(phantom, prediction, tmp_path):
    cache = PredictionCache(tmp_path)
    assert Predictor("demo", "cpu", cache).predict(phantom, "one").engine == "torch-fp32"
    wanted = usable_engines("cpu")[0]
    first = Predictor("demo", "cpu", cache, engine=wanted).predict(phantom, "one")
    assert first.engine == wanted
    assert [result.probability for result in first.findings] == pytest.approx(
        [result.probability for result in prediction.findings], abs=0.01
    )
    assert "cache" in Predictor("demo", "cpu", cache, engine=wanted).predict(phantom, "one").timing_ms
    with pytest.raises(InvalidRequest, match="Usable here"):
        Predictor("demo", "cpu", engine="tensorrt").predict(phantom, "one")


def test_a_damaged_cache_entry_is_computed_again(phantom, prediction, tmp_path):
    cache = PredictionCache(tmp_path)
    Predictor("demo", "cpu", cache).predict(phantom, "one")
    (entry,) = tmp_path.rglob("*.json")
    entry.write_text(entry.read_text()[:100])
    assert Predictor("demo", "cpu", cache).predict(phantom, "one").findings == prediction.findings


def test_a_second_model_takes_the_prepared_study_and_says_the_same_to_the_bit(predictor, phantom, prediction, tmp_path):
    prepared = PreparedCache(tmp_path, 10**9)
    first = Predictor("demo", "cpu", prepared=prepared).predict(phantom, "phantom-0001")
    second = Predictor("demo", "cpu", prepared=prepared).predict(phantom, "phantom-0001")
    assert "align" in first.timing_ms
    assert set(second.timing_ms) == {"prepared_cache", "load", "model", "total"}
    uncached = prediction.model_copy(update={"timing_ms": {}})
    assert first.model_copy(update={"timing_ms": {}}) == uncached
    assert second.model_copy(update={"timing_ms": {}}) == uncached


def test_planted_findings_rank_above_absent_ones(predictor, tmp_path):
    """A sanity check on four fresh phantoms; the model card holds the AUC on two hundred."""
    import csv

    paths = write_cohort(tmp_path, 4, seed=33)
    with (tmp_path / LABELS_FILE).open(newline="") as file:
        labels = list(csv.DictReader(file))
    present, absent = [], []
    for path, row in zip(paths, labels, strict=True):
        for result in predictor.predict(path, "phantom").findings:
            if result.estimable:
                (present if row[result.key] == "present" else absent).append(result.probability)
    assert np.mean(present) > np.mean(absent) + 0.2


def test_the_ge_scan_is_read_with_slices_inside_the_head(predictor):
    path = shared_ct("ge_human_tilt")
    prediction = predictor.predict(path, "ge")
    assert prediction.quality.accepted
    assert prediction.quality.facts["tilt_degrees"] == pytest.approx(18.5, abs=0.1)
    volume = read_study(path)
    from_ras = np.linalg.inv(volume.affine)
    for item in prediction.slices:
        index = np.round((from_ras @ [*item.center_ras, 1])[:3]).astype(int)
        assert np.all(index >= 0)
        assert np.all(index < volume.hu.shape)
        # A centre may lie in the air of a sinus, but it has the head on all four sides of it within its slice.
        slice_, row, column = index
        head = volume.hu[slice_] > -300
        assert all(side.any() for side in (head[:row, column], head[row:, column], head[row, :column], head[row, column:]))
    assert all(sum(item.router) == pytest.approx(1, abs=1e-9) for item in prediction.slices)


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [("head_mr", "wrong_modality", "MR"), ("body_ct", "not_head", "head"), ("ge_human_wrong_geometry", "geometry_contradiction", "")],
)
def test_what_is_not_a_head_ct_is_refused_with_a_reason(predictor, name, code, word):
    folder = shared_ct(name)
    path = folder / "example_ct_sm.nii.gz" if name == "body_ct" else folder
    with pytest.raises(StudyRefused) as refused:
        predictor.predict(path, "study")
    assert refused.value.code == code
    assert word in refused.value.message


def test_clear_refusals_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    with pytest.raises(NotFound, match="no model 'demo2'"):
        Predictor("demo2")
    with pytest.raises(ModelUnavailable, match="models --fetch"):
        Predictor("dinov3_base")
    with pytest.raises(NotFound, match="no file or folder"):
        Predictor("demo").predict(tmp_path / "missing", "study")


def test_a_gpu_that_is_not_there_is_named(phantom):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InvalidRequest, match="no usable GPU"):
        Predictor("demo", device="cuda").predict(phantom, "study")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("CT head.nii.gz", "CT-head"), ("..hidden.nrrd", "hidden"), ("Müller", "M-ller"), ("___", "study"), ("A.ZIP", "A"), (".mha", "study")],
)
def test_study_ids_are_safe(tmp_path, name, expected):
    assert study_id(tmp_path / name) == expected
