"""Where the caches lie, and how large they may grow."""

from pathlib import Path

import pytest

from headct_molre.data.cache_folder import cache_folder, cache_limit_bytes
from headct_molre.errors import InvalidRequest


def test_the_users_cache_folder_unless_one_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("HEADCT_MOLRE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "headct-molre"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "headct-molre"
    monkeypatch.setenv("HEADCT_MOLRE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


@pytest.mark.parametrize(("value", "expected"), [(None, 20 * 10**9), ("", 20 * 10**9), ("0.5", 5 * 10**8), (" 3 ", 3 * 10**9), ("0", 0)])
def test_the_limit_is_given_in_gigabytes(monkeypatch, value, expected):
    if value is None:
        monkeypatch.delenv("HEADCT_MOLRE_CACHE_GB", raising=False)
    else:
        monkeypatch.setenv("HEADCT_MOLRE_CACHE_GB", value)
    assert cache_limit_bytes() == expected


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "20 GB", "1e9"])
def test_a_limit_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("HEADCT_MOLRE_CACHE_GB", value)
    with pytest.raises(InvalidRequest, match="HEADCT_MOLRE_CACHE_GB") as refused:
        cache_limit_bytes()
    assert refused.value.field == "HEADCT_MOLRE_CACHE_GB"
