"""Names in logs: the same for the same id, not to be found by guessing, kept over restarts."""

import hashlib
import multiprocessing
import stat

import pytest

from headct_molre.server import pseudonym as module
from headct_molre.server.pseudonym import keep_key, pseudonym


@pytest.fixture(autouse=True)
def own_key(monkeypatch):
    monkeypatch.setattr(module, "_key", b"x" * 32)


def test_the_name_depends_on_the_key_and_not_on_the_id_alone(tmp_path):
    keep_key(tmp_path / "a.key")
    first = pseudonym("4711")
    assert pseudonym("4711") == first != pseudonym("4712")
    assert first not in hashlib.sha256(b"4711").hexdigest()
    keep_key(tmp_path / "b.key")
    assert pseudonym("4711") != first
    keep_key(tmp_path / "a.key")
    assert pseudonym("4711") == first


def test_the_key_is_the_owners_alone(tmp_path):
    keep_key(tmp_path / "new" / "log.key")
    assert stat.S_IMODE((tmp_path / "new" / "log.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["log.key"]


def test_a_key_that_was_cut_short_is_made_anew(tmp_path):
    (tmp_path / "log.key").write_bytes(b"")
    keep_key(tmp_path / "log.key")
    assert len((tmp_path / "log.key").read_bytes()) == 32


def test_half_a_character_has_a_name_too():
    assert len(pseudonym("\ud800")) == 12


def named(folder):
    keep_key(folder / "log.key")
    return pseudonym("4711")


def test_processes_that_start_together_have_one_key(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(named, [tmp_path] * 8))) == 1
