"""The task of a model on the queue: shared results, versions, failures of a device, and memory over many requests."""

import gc
import threading
from pathlib import Path

import psutil
import pytest
import torch

from headct_molre import predict
from headct_molre.data.phantom import write_cohort
from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.imaging.content import content_sha256
from headct_molre.imaging.pipeline import prepare_study
from headct_molre.models.backbones import backbone_spec
from headct_molre.server.devices import DeviceOutOfMemory
from headct_molre.server.loaded import LoadedModels
from headct_molre.server.queue import InferenceQueue
from lib.infers.headct import HeadCT, Images, Serving
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone, install_version

MODEL = "dinov3_base"
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
    install_backbone(tmp_path, small_backbones()[MODEL])
    install_version(tmp_path, backbone_spec(MODEL))
    return tmp_path


@pytest.fixture
def task(home):
    store, queue = StudyStore(sqlite_url(home / "store.sqlite")), InferenceQueue(["cpu"], 8)
    yield HeadCT(MODEL, Serving(store, queue, LoadedModels(), lambda images: content_sha256(images.path, images.series_uid)))
    queue.stop()
    queue.join(LONG)
    store.close()


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
