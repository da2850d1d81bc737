"""Scores as they lie on disk become the studies that the gate judges on."""

import numpy as np
import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.scores import Scores
from headct_molre.training.gate import held_out
from simulated_versions import held_out_pair


def test_both_versions_scores_are_brought_into_the_order_of_the_studies():
    pair = held_out_pair(30, seed=1)
    studies = tuple(f"study-{number}" for number in range(30))
    order = np.random.default_rng(0).permutation(30)
    champion = Scores(tuple(studies[row] for row in order), pair.champion[order])
    more = Scores(("another", *studies), np.vstack([np.zeros(75), pair.candidate]))
    held = held_out(studies, pair.truth.astype(np.float32), pair.patients, champion, more, pair.readers)
    for name in ("truth", "champion", "candidate", "patients", "readers"):
        np.testing.assert_array_equal(getattr(held, name), getattr(pair, name))


def test_a_study_that_one_version_did_not_score_is_named():
    pair = held_out_pair(3, seed=1)
    studies = ("a", "b", "c")
    with pytest.raises(InvalidRequest, match="the first is c"):
        held_out(studies, pair.truth, pair.patients, Scores(studies, pair.champion), Scores(studies[:2], pair.candidate[:2]))
