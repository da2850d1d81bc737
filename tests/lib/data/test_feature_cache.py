"""Slice features on disk: what went in comes out, whoever else writes, and whenever a writer is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from headct_molre.data.feature_cache import FeatureCache, adapted_backbone_sha256, feature_caches
from headct_molre.models.backbones import backbone_spec

WRITER = Path(__file__).with_name("feature_writer.py")
sys.path.insert(0, str(WRITER.parent))
from feature_writer import SLICES, cache_in, features_of  # noqa: E402

ALL = torch.ones(SLICES, dtype=torch.bool)


@pytest.fixture
def cache(tmp_path):
    return cache_in(tmp_path / "features")


def writer(command, folder, *numbers):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, str(WRITER), command, str(folder), *map(str, numbers)], env=environment)


def test_features_come_back_rounded_to_half_precision_with_their_mask(cache):
    features, mask = torch.randn(SLICES, 768), torch.arange(SLICES) < 30
    assert not cache.has("a")
    assert cache.get("a") is None
    cache.put("a", features, mask)
    assert cache.has("a")
    found, found_mask = cache.get("a")
    assert found.dtype == torch.float32
    assert torch.equal(found, features.half().float())
    assert torch.equal(found_mask, mask)
    assert cache.path("a").stat().st_size < SLICES * 768 * 2 + 1000
    assert cache.contents() == {"a"}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:4], lambda data: data[:-9] + bytes(9), lambda data: b"null    null"]
)
def test_a_damaged_file_is_absent_and_makes_room(cache, damage):
    cache.put("a", torch.randn(SLICES, 768), ALL)
    cache.path("a").write_bytes(damage(cache.path("a").read_bytes()))
    assert cache.get("a") is None
    assert not cache.has("a")


def test_a_writer_that_died_leaves_nothing_for_long(cache):
    cache.put("a", features_of(0), ALL)
    old, new = cache.folder / "x.partial", cache.folder / "y.partial"
    for partial in (old, new):
        partial.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache_in(cache.folder.parents[1]).put("b", features_of(1), ALL)
    assert (old.exists(), new.exists()) == (False, True)


def test_two_processes_that_write_the_same_studies_leave_them_whole(tmp_path, cache):
    processes = [writer("loop", tmp_path / "features", 60) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert cache.contents() == {f"content{number}" for number in range(60)}
    assert all(torch.equal(cache.get(f"content{number}")[0], features_of(number)) for number in range(60))
    assert not list(cache.folder.glob("*.partial"))


def test_a_writer_killed_at_any_moment_leaves_whole_files_only(tmp_path):
    assert writer("kill", tmp_path / "features", 60, 1).wait(60) == 0


def test_the_caches_of_a_backbone_are_found_whatever_their_precision(tmp_path):
    spec = backbone_spec("dinov3_base")
    for precision, count in (("torch-fp32", 1), ("openvino-bf16", 2)):
        cache = FeatureCache(tmp_path, spec, "0" * 64, spec.input_px, precision)
        for number in range(count):
            cache.put(str(number), features_of(number), ALL)
    FeatureCache(tmp_path, spec, "1" * 64, spec.input_px, "torch-fp32").put("0", features_of(0), ALL)
    assert [cache.precision for cache in feature_caches(tmp_path, spec, "0" * 64, spec.input_px)] == ["openvino-bf16", "torch-fp32"]
    assert feature_caches(tmp_path, spec, "2" * 64, spec.input_px) == []


def test_versions_that_changed_the_backbone_have_features_of_their_own():
    state = {"head.weight": torch.randn(2, 3), "backbone.network.q.lora_up": torch.randn(2, 3), "backbone.scale": torch.tensor(1.0)}
    adapted = adapted_backbone_sha256("0" * 64, state)
    assert adapted_backbone_sha256("0" * 64, {"head.weight": state["head.weight"]}) == "0" * 64
    assert adapted_backbone_sha256("0" * 64, state | {"head.weight": torch.zeros(1)}) == adapted
    assert adapted_backbone_sha256("1" * 64, state) != adapted
    assert adapted_backbone_sha256("0" * 64, state | {"backbone.scale": torch.tensor(2.0)}) != adapted
