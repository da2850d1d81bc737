"""The cache of prepared studies: exact, bounded, and whole whatever happens to those who write it."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from headct_molre import imaging
from headct_molre.data import prepared_cache
from headct_molre.data.phantom import make_phantom, write_study
from headct_molre.data.prepared_cache import PreparedCache, cached_prepare
from headct_molre.data.prepared_entry import encode
from headct_molre.errors import StudyRefused
from headct_molre.imaging.content import content_sha256
from headct_molre.imaging.pipeline import PreparedStudy, prepare_study
from headct_molre.imaging.prepare import Prepared
from shared_data import shared_ct

WRITER = Path(__file__).with_name("cache_writer.py")
sys.path.insert(0, str(WRITER.parent))
from cache_writer import LIMIT, study  # noqa: E402

ENTRY_BYTES = len(encode("0" * 64, study(0)))


@pytest.fixture
def cache(tmp_path):
    return PreparedCache(tmp_path / "prepared", LIMIT)


def writer(command, cache, *numbers):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    arguments = [command, str(cache.folder), str(cache.limit_bytes), *map(str, numbers)]
    return subprocess.Popen([sys.executable, str(WRITER), *arguments], env=environment)


def entries(cache):
    return sorted(cache.folder.glob("*.prepared"))


def size(cache):
    return sum(path.stat().st_size for path in entries(cache))


def assert_same(found, stored):
    assert found.prepared.hu.dtype == stored.prepared.hu.dtype
    np.testing.assert_array_equal(found.prepared.hu, stored.prepared.hu)
    np.testing.assert_array_equal(found.prepared.model_to_ras, stored.prepared.model_to_ras)
    assert found.quality == stored.quality
    assert {k: type(v) for k, v in found.quality.facts.items()} == {k: type(v) for k, v in stored.quality.facts.items()}


def test_a_hit_returns_exactly_what_was_stored(cache):
    cache.put("content", study(1))
    assert_same(cache.get("content"), study(1))


def test_what_was_not_stored_is_absent(cache, monkeypatch):
    assert cache.get("content") is None
    cache.put("content", study(1))
    assert cache.get("other content") is None
    monkeypatch.setattr(prepared_cache, "PREPARATION_VERSION", imaging.PREPARATION_VERSION + "-next")
    assert cache.get("content") is None, "what an older way of preparation made is stale"


def test_a_volume_that_would_not_come_back_as_it_was_is_not_taken(cache):
    unrounded = PreparedStudy(Prepared(study(1).prepared.hu + 0.001, np.eye(4)), study(1).quality, {})
    with pytest.raises(ValueError, match="not rounded"):
        cache.put("content", unrounded)


def test_every_flipped_bit_and_every_truncation_is_noticed_and_the_entry_removed(cache):
    cache.put("content", study(1))
    (path,) = entries(cache)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [*range(60), *rng.integers(60, len(whole), 100)]
    damaged = [whole[:at] + bytes([whole[at] ^ (1 << (at % 8))]) + whole[at + 1 :] for at in places]
    damaged += [whole[:length] for length in (0, 1, 8, 40, 44, 100, len(whole) // 2, len(whole) - 1)] + [whole + b"\0"]
    for data in damaged:
        path.write_bytes(data)
        assert cache.get("content") is None
        assert not path.exists()
    path.write_bytes(whole)
    assert_same(cache.get("content"), study(1))


def test_an_entry_under_the_name_of_another_is_not_believed(cache):
    cache.put("content", study(1))
    (path,) = entries(cache)
    cache.put("other", study(2))
    (other,) = set(entries(cache)) - {path}
    other.write_bytes(path.read_bytes())
    assert cache.get("other") is None
    assert_same(cache.get("content"), study(1))


def test_two_processes_may_write_the_same_and_different_studies_at_once(cache):
    first, second = writer("loop", cache, 0, 40), writer("loop", cache, 20, 40)
    assert (first.wait(60), second.wait(60)) == (0, 0)
    for seed in range(60):
        assert_same(cache.get(f"content {seed}"), study(seed))
    assert len(list(cache.folder.iterdir())) == 60, "no partial file is left"


def test_a_writer_killed_at_any_moment_leaves_no_half_entry(cache):
    assert writer("kill", cache, 70, 1).wait(120) == 0
    left = {seed: cache.get(f"content {seed}") for seed in range(7)}
    assert any(left.values())
    for seed, found in left.items():
        if found is not None:
            assert_same(found, study(seed, 256))


def test_what_dead_writers_left_is_cleaned_and_what_is_being_written_is_not(cache):
    cache.put("content", study(1))
    old, new = cache.folder / "old.partial", cache.folder / "new.partial"
    old.write_bytes(b"left by a dead writer")
    new.write_bytes(b"being written")
    os.utime(old, (time.time() - 3600,) * 2)
    cache.put("content", study(1))
    assert not old.exists()
    assert new.exists()


def test_the_least_recently_used_entries_give_way(tmp_path):
    cache = PreparedCache(tmp_path, 3 * ENTRY_BYTES + ENTRY_BYTES // 2)
    for seed in range(3):
        before = set(entries(cache))
        cache.put(f"content {seed}", study(seed))
        (new,) = set(entries(cache)) - before
        os.utime(new, (1000 + seed,) * 2)
    assert cache.get("content 0") is not None  # a use, which makes entry 1 the oldest
    cache.put("content 3", study(3))
    assert [cache.get(f"content {seed}") is not None for seed in range(4)] == [True, False, True, True]
    assert size(cache) <= cache.limit_bytes


def test_the_limit_holds_under_two_writers_and_the_newest_stay(tmp_path):
    cache = PreparedCache(tmp_path, 5 * ENTRY_BYTES + ENTRY_BYTES // 2)
    first, second = writer("loop", cache, 0, 60), writer("loop", cache, 100, 60)
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert size(cache) <= cache.limit_bytes
    assert len(entries(cache)) >= 4, "what fits is kept"
    assert cache.get("content 59") is not None or cache.get("content 159") is not None


def test_a_study_larger_than_the_limit_displaces_nothing(tmp_path):
    PreparedCache(tmp_path, LIMIT).put("small", study(1))
    cache = PreparedCache(tmp_path, ENTRY_BYTES // 2)
    cache.put("large", study(2))
    assert cache.get("small") is not None
    assert cache.get("large") is None
    PreparedCache(tmp_path / "none", 0).put("content", study(1))
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written_costs_no_result_and_tells_no_name(tmp_path, caplog):
    (tmp_path / "miller").write_text("a file where the folder should be")
    cache = PreparedCache(tmp_path / "miller", LIMIT)
    with caplog.at_level(logging.DEBUG):
        assert cache.get("content") is None
        cache.put("content", study(1))
    assert "not cached" in caplog.text
    assert "miller" not in caplog.text


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    path = tmp_path_factory.mktemp("phantoms") / "miller-1961.nii.gz"
    write_study(make_phantom(11, 128), path)
    return path


def test_a_prepared_study_comes_back_to_the_bit_without_its_name(phantom, cache):
    fresh = prepare_study(phantom)
    first, second = cached_prepare(phantom, cache=cache), cached_prepare(phantom, cache=cache)
    assert_same(first, fresh)
    assert_same(second, fresh)
    assert "align" in first.timing_ms
    assert set(second.timing_ms) == {"prepared_cache"}
    (path,) = entries(cache)
    assert b"miller" not in path.read_bytes() + str(path.relative_to(cache.folder)).encode()
    assert path.stat().st_mode & 0o077 == 0, "a volume that shows a face is for its owner's eyes"


def test_a_refused_study_is_never_cached(cache, tmp_path):
    path = tmp_path / "study.nii.gz"
    head = make_phantom(11, 128)
    head.volume.hu[:] = -1000
    write_study(head, path)
    for _ in range(2):
        with pytest.raises(StudyRefused):
            cached_prepare(path, cache=cache)
    assert not cache.folder.exists() or not list(cache.folder.iterdir())


def test_a_study_that_changes_while_it_is_read_is_not_stored_under_its_old_content(phantom, cache, tmp_path):
    path = tmp_path / "study.nii.gz"
    path.write_bytes(phantom.read_bytes())
    cached_prepare(path, cache=cache, content=content_sha256(path)[::-1])
    assert not entries(cache) if cache.folder.exists() else True


def test_a_chosen_series_is_found_again_and_is_not_the_folders_own_choice(cache):
    folder = shared_ct("ge_human_tilt")
    uid = str(dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True).SeriesInstanceUID)
    chosen = cached_prepare(folder, uid, cache)
    assert "read" in chosen.timing_ms
    assert "prepared_cache" in cached_prepare(folder, uid, cache).timing_ms
    assert cache.get(content_sha256(folder)) is None
