"""Many studies at once: all are accounted for, whatever one of them does."""

import os
from pathlib import Path, PosixPath

import numpy as np
import pytest

from headct_molre.data.bulk import prepare_many
from headct_molre.data.phantom import make_phantom, write_study
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.errors import InvalidRequest, NotFound, StudyRefused
from headct_molre.imaging.content import content_sha256
from headct_molre.imaging.pipeline import PreparedStudy, prepare_study


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    paths = [folder / f"{seed}.nii.gz" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_study(make_phantom(20 + seed, 128), path)
    return paths


def test_each_study_comes_back_once_as_it_would_alone_and_fills_the_cache(phantoms, tmp_path):
    cache = PreparedCache(tmp_path / "cache", 10**9)
    outcomes = dict(prepare_many(phantoms, 2, cache))
    assert set(outcomes) == set(phantoms)
    np.testing.assert_array_equal(outcomes[phantoms[1]].prepared.hu, prepare_study(phantoms[1]).prepared.hu)
    for path in phantoms:
        np.testing.assert_array_equal(cache.get(content_sha256(path)).prepared.hu, outcomes[path].prepared.hu)


def test_a_refusal_keeps_its_code_and_its_words(phantoms, tmp_path):
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(phantoms[0].read_bytes()[:1000])
    outcomes = dict(prepare_many([damaged, phantoms[0], tmp_path / "missing"], 1))
    with pytest.raises(StudyRefused) as alone:
        prepare_study(damaged)
    assert isinstance(outcomes[damaged], StudyRefused)
    assert outcomes[damaged].to_json() == alone.value.to_json()
    assert isinstance(outcomes[tmp_path / "missing"], NotFound)
    assert outcomes[tmp_path / "missing"].to_json()["field"] == "path"
    assert outcomes[tmp_path / "missing"].status == 404
    assert isinstance(outcomes[phantoms[0]], PreparedStudy)


class Deadly(PosixPath):
    """A path that ends the process it is sent to, as a broken decoder or a lack of memory does."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_study_that_kills_its_process_is_reported_and_the_others_go_on(phantoms):
    trap = Deadly("trap.nii.gz")
    outcomes = list(prepare_many([phantoms[0], trap, phantoms[1], trap, phantoms[2]], 2))
    assert len(outcomes) == 5
    refused = [outcome for path, outcome in outcomes if path is trap]
    assert [refusal.code for refusal in refused] == ["preparation_failed"] * 2
    assert "died" in refused[0].message
    assert {path for path, outcome in outcomes if isinstance(outcome, PreparedStudy)} == set(phantoms)


def test_at_least_one_worker_is_needed():
    with pytest.raises(InvalidRequest, match="workers"):
        prepare_many([Path("study")], 0)
