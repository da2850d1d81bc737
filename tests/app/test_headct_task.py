"""The task of a model on the queue: shared results, versions, failures of a device, and memory over many requests."""

import gc
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from headct_molre import predict
from headct_molre.data.phantom import write_cohort
from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.imaging.content import content_sha256
from headct_molre.imaging.pipeline import prepare_study
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.server.devices import DeviceOutOfMemory
from headct_molre.server.loaded import LoadedModels
from headct_molre.server.queue import InferenceQueue
from lib.infers.headct import HeadCT, Images, Serving
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone, install_version

MODEL, VOLUME_MODEL = "dinov3_base", "pillar0_headct"
LONG = 60


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("phantom"), 1, seed=6, matrix=128)[0]


@pytest.fixture(scope="module")
def prepared(phantom):
    return prepare_study(phantom)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    for model in (MODEL, VOLUME_MODEL):
        install_backbone(tmp_path, small_backbones()[model])
        install_version(tmp_path, backbone_spec(model))
    return tmp_path


@pytest.fixture
def serving(home):
    store, queue = StudyStore(sqlite_url(home / "store.sqlite")), InferenceQueue(["cpu"], 8)
    yield Serving(store, queue, LoadedModels(), lambda images: content_sha256(images.path, images.series_uid), home / "features")
    queue.stop()
    queue.join(LONG)
    store.close()


@pytest.fixture
def task(serving):
    return HeadCT(MODEL, serving)


def images(phantom, study="phantom-0001"):
    return Images(phantom, study, listed=True)


def infer(task, asked, content, prepared, **options):
    return task.submit(asked, content, request_id="x", prepared=prepared, **options).result(LONG)


def test_a_second_study_with_the_same_images_is_answered_from_the_store_under_its_own_id(task, phantom, prepared):
    content = task.content(images(phantom))
    assert task.stored(images(phantom), content) is None
    first = task.shown(images(phantom), content, infer(task, images(phantom), content, prepared))
    second = task.stored(images(phantom, "other"), content)
    assert (first.study, second.study) == ("phantom-0001", "other")
    assert second.findings == first.findings


def test_monai_labels_own_call_goes_the_same_way(task, phantom):
    file, prediction = task({"image": str(phantom), "study": "phantom-0001"})
    assert file is None
    assert task({"image": str(phantom), "study": "phantom-0001"}) == (None, prediction)


def test_a_prediction_names_the_version_that_made_it_when_the_champion_changes_meanwhile(home, task, prepared, phantom, monkeypatch):
    run = predict.run

    def slow(*arguments):
        install_version(home, backbone_spec(MODEL), "8")  # while the network of version 7 runs
        monkeypatch.setattr(predict, "run", run)
        return run(*arguments)

    monkeypatch.setattr(predict, "run", slow)
    assert infer(task, images(phantom), "a" * 64, prepared).model.version == "7"
    assert infer(task, images(phantom), "a" * 64, prepared).model.version == "8"


def test_a_device_without_memory_answers_503_and_works_again(task, prepared, phantom, monkeypatch):
    run = predict.run

    def too_large(*arguments):
        monkeypatch.setattr(predict, "run", run)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    before = infer(task, images(phantom), "a" * 64, prepared)
    monkeypatch.setattr(predict, "run", too_large)
    with pytest.raises(DeviceOutOfMemory):
        infer(task, images(phantom), "b" * 64, prepared)
    assert infer(task, images(phantom), "b" * 64, prepared).findings == before.findings


def test_an_upload_is_not_read_for_another_client_that_may_outlive_it(task, phantom, prepared):
    """Listed studies with the same images share one inference; uploads, whose files go with their clients, do not."""

    def known():
        return len({entry["position"] for entry in task._queue.status()[0]["waiting"]})

    def first(device, boundary):
        started.set()
        release.wait(LONG)

    started, release = threading.Event(), threading.Event()
    task._queue.submit("first", MODEL, first, request_id="first")
    assert started.wait(LONG)
    for path in ("a", "b"):
        task.submit(Images(Path(path), path, listed=True), "c" * 64, request_id="x", prepared=prepared)
    assert known() == 1
    uploads = [task.submit(Images(Path(path), "upload", listed=False), "c" * 64, request_id="x", prepared=prepared) for path in ("a", "b")]
    assert known() == 3
    release.set()
    assert uploads[0].result(LONG) == uploads[1].result(LONG)


@pytest.mark.parametrize("model", [MODEL, VOLUME_MODEL])
def test_the_features_of_a_prediction_are_kept_and_give_it_again(serving, phantom, prepared, model):
    """The slice features give the network's logits, up to half precision; so does the study's one pooled feature with the head alone."""
    task = HeadCT(model, serving)
    predictor = serving.loaded.get(model, "cpu")
    prediction = infer(task, images(phantom), "a" * 64, predictor.prepare(phantom))
    classifier, _, spec = load_classifier(model)
    features, mask = predictor.feature_cache(serving.features).get("a" * 64)
    expected = torch.tensor([finding.logit for finding in prediction.findings])
    torch.testing.assert_close(classifier.classify(features[None], mask[None]).logits[0], expected, rtol=0.01, atol=0.01)
    assert (mask.sum().item(), features.shape[1]) == (len(prediction.slices), spec.dimension)
    block = serving.store.summaries.of_version(prediction.model)
    np.testing.assert_allclose(block.probabilities[0], expected.sigmoid(), atol=1e-6)
    pooled = torch.from_numpy(block.features[0].astype(np.float32))
    torch.testing.assert_close(classifier.head(pooled), expected, rtol=0.01, atol=0.01)


def test_the_features_come_out_of_the_same_pass(task, phantom, prepared, monkeypatch):
    passes = []
    forward = HeadCTClassifier.features
    monkeypatch.setattr(HeadCTClassifier, "features", lambda *arguments: passes.append(1) or forward(*arguments))
    infer(task, images(phantom), "a" * 64, prepared)
    assert len(passes) == 1


def test_a_batch_makes_the_features_that_are_not_there_and_leaves_the_prediction_as_it_is(task, serving, phantom, prepared):
    first = infer(task, images(phantom), "a" * 64, prepared)
    assert task.complete("a" * 64)
    cache = serving.loaded.get(MODEL, "cpu").feature_cache(serving.features)
    cache.path("a" * 64).unlink()
    assert not task.complete("a" * 64)
    assert infer(task, images(phantom), "a" * 64, prepared) == first, "a reader is answered from the store"
    assert not cache.has("a" * 64)
    infer(task, images(phantom), "a" * 64, prepared, batch=True)
    assert task.complete("a" * 64)
    assert task.known("a" * 64) == first


def test_a_disk_that_takes_no_features_costs_no_prediction(task, serving, phantom, prepared):
    serving.features.write_bytes(b"a file where the folder should be")
    assert infer(task, images(phantom), "a" * 64, prepared).model.version == "7"
    assert not task.complete("a" * 64)


@pytest.mark.slow
def test_memory_is_stable_over_300_inferences(task, phantom, prepared):
    def resident():
        gc.collect()
        return psutil.Process().memory_info().rss

    measured = []
    for number in range(300):
        infer(task, images(phantom), f"{number:064x}", prepared)
        if number in (49, 299):
            measured.append(resident())
    print(f"resident memory {measured[0] / 1e6:.0f} MB after 50 inferences, {measured[1] / 1e6:.0f} MB after 300")
    assert measured[1] < 1.1 * measured[0]
