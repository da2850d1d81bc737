"""A lack of memory becomes an answer, and nothing of what failed stays behind; loaded models follow the champion."""

import os
import threading
import weakref

import numpy as np
import pytest
import torch

from headct_molre.models.backbones import backbone_spec
from headct_molre.server.devices import NICENESS, DeviceOutOfMemory, freed_when_out_of_memory, give_way, inference_devices
from headct_molre.server.loaded import LoadedModels
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone, install_version

MODEL = "dinov3_base"


def torch_allocator():
    torch.empty(10**15)


def numpy_allocator():
    np.ones(10**15)


def cuda_allocator():
    raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("allocate", [torch_allocator, numpy_allocator, cuda_allocator])
def test_a_lack_of_memory_is_answered_with_503_and_frees_what_was_loaded(allocate):
    held, freed = [], []

    def network():
        activations = torch.ones(1000)
        held.append(weakref.ref(activations))
        allocate()

    with pytest.raises(DeviceOutOfMemory) as lack, freed_when_out_of_memory("cpu", lambda: freed.append(held[0]())):
        network()
    assert (lack.value.code, lack.value.status) == ("out_of_memory", 503)
    assert freed == [None]  # the activations were gone before the models went


def test_another_failure_passes_and_frees_nothing():
    with pytest.raises(RuntimeError, match="shape"), freed_when_out_of_memory("cpu", lambda: pytest.fail("freed")):
        raise RuntimeError("shape mismatch")


def test_there_is_always_a_device():
    assert inference_devices() == [f"cuda:{index}" for index in range(torch.cuda.device_count())] or inference_devices() == ["cpu"]


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="niceness of a thread is Linux's")
def test_one_thread_gives_way_and_the_others_do_not():
    def measure(niceness):
        give_way()
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before, niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), []
    thread = threading.Thread(target=measure, args=(niceness,))
    thread.start()
    thread.join()
    assert niceness == [NICENESS]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_predictor_is_kept_until_the_champion_changes_or_memory_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    install_backbone(tmp_path, small_backbones()[MODEL])
    install_version(tmp_path, backbone_spec(MODEL))
    loaded = LoadedModels()
    first = loaded.get(MODEL, "cpu")
    assert loaded.get(MODEL, "cpu") is first
    assert loaded.get(MODEL, "cuda:0") is not first
    install_version(tmp_path, backbone_spec(MODEL), "8")
    assert (first.card.version, loaded.get(MODEL, "cpu").card.version) == ("7", "8")
    second = loaded.get(MODEL, "cpu")
    loaded.free("cuda:0")
    assert loaded.get(MODEL, "cpu") is second
    loaded.free("cpu")
    assert loaded.get(MODEL, "cpu") is not second
