"""Each acquisition function against a plain loop over its formula, and what holds for all of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.cluster import kmeans_plusplus

from headct_molre.errors import InvalidRequest
from headct_molre.findings import finding_keys
from headct_molre.selection import STRATEGIES, LinearHead, Pool, Votes
from headct_molre.selection.ranking import highest
from headct_molre.selection.rare import plus_plus, rare_positives_scores
from headct_molre.selection.readers import vote_entropy
from headct_molre.selection.typical import NEIGHBOURS, typical_order
from headct_molre.selection.uncertainty import BLOCK, information, margin_scores, rarity_entropy_scores

F, D = 6, 8


def pool_of(probabilities, **changes):
    """A pool of F findings with everything that any strategy needs."""
    rng = np.random.default_rng(7)
    probabilities = np.asarray(probabilities, np.float32)
    n = len(probabilities)
    fields = {
        "probabilities": probabilities,
        "estimable": np.array([True, True, False, True, True, True]),
        "positives": np.array([0, 3, 8, 15, 99, 400]),
        "features": rng.normal(size=(n, D)).astype(np.float32),
        "logits_of": LinearHead(rng.normal(size=(F, D)).astype(np.float32), np.zeros(F, np.float32)),
        "votes": Votes(rng.integers(0, max(n, 1), 3 * n), rng.integers(0, F, 3 * n), rng.integers(0, 3, 3 * n)),
        "keys": finding_keys()[:F],
    }
    return Pool(**{**fields, **changes})


def random_pool(n, seed=0, **changes):
    return pool_of(np.random.default_rng(seed).random((n, F)) ** 3, **changes)


def plain_entropy(p):
    return 0.0 if p in (0.0, 1.0) else -p * math.log(p) - (1 - p) * math.log(1 - p)


FORMULAS = {
    rarity_entropy_scores: lambda p, seen: plain_entropy(p) / math.sqrt(seen + 1),
    margin_scores: lambda p, seen: 1 - abs(p - (1 - p)),
    rare_positives_scores: lambda p, seen: p / (seen + 1),
}
formulas = pytest.mark.parametrize("scores", FORMULAS, ids=lambda one: one.__name__)
extreme = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 40), st.just(F)), elements=st.one_of(st.sampled_from([0, 1]), st.floats(0, 1, width=32))
)


@formulas
def test_scores_are_their_formula_summed_over_the_findings_that_can_be_asked(scores):
    pool = random_pool(2 * BLOCK + 3)
    expected = [
        sum(FORMULAS[scores](float(p), seen) for p, seen, asked in zip(row, pool.positives, pool.estimable, strict=True) if asked)
        for row in pool.probabilities
    ]
    np.testing.assert_allclose(scores(pool), expected, rtol=2e-5, atol=1e-6)


@formulas
@given(extreme)
def test_scores_are_finite_and_not_negative_whatever_the_probabilities(scores, probabilities):
    values = scores(pool_of(probabilities))
    assert np.isfinite(values).all()
    assert (values >= 0).all()


@formulas
@given(st.integers(1, 600), st.integers(0, 99))
def test_the_score_of_a_study_does_not_depend_on_its_place(scores, studies, seed):
    pool = random_pool(studies, seed)
    order = np.random.default_rng(seed).permutation(studies)
    np.testing.assert_array_equal(scores(pool_of(pool.probabilities[order])), scores(pool)[order])


def test_a_finding_that_cannot_be_asked_counts_for_nothing():
    certain, undecided = np.zeros((4, F)), np.zeros((4, F))
    undecided[:, 2] = 0.5
    for scores in FORMULAS:
        np.testing.assert_array_equal(scores(pool_of(undecided)), scores(pool_of(certain)))


def test_a_rare_finding_outweighs_a_common_one_of_the_same_entropy():
    rare, common = np.zeros(F), np.zeros(F)
    rare[0] = common[5] = 0.5
    assert STRATEGIES["rarity_entropy"].rank(pool_of([common, rare]), 1, np.random.default_rng(0)).rows.tolist() == [1]
    assert STRATEGIES["margin"].rank(pool_of([common, rare]), 2, np.random.default_rng(0)).rows.tolist() == [0, 1]


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("studies", [1, 2, 30, 1300])
@pytest.mark.parametrize("count", [1, 25, 40])
def test_every_strategy_gives_different_rows_and_finite_parts(name, studies, count):
    pool = random_pool(studies)
    ranking = STRATEGIES[name].rank(pool, count, np.random.default_rng(1))
    again = STRATEGIES[name].rank(pool, count, np.random.default_rng(1))
    assert len(set(ranking.rows.tolist())) == len(ranking.rows)
    assert len(ranking.rows) == min(count, studies) or name == "disagreement"
    np.testing.assert_array_equal(ranking.rows, again.rows)
    if ranking.parts is not None:
        assert ranking.parts.shape == (len(ranking.rows), F)
        assert np.isfinite(ranking.parts).all()
        assert (ranking.parts >= 0).all()
        assert (ranking.parts[:, ~pool.estimable] == 0).all() or name == "disagreement"


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_stumbles_over_certainty(name):
    probabilities = np.random.default_rng(0).integers(0, 2, (60, F))
    ranking = STRATEGIES[name].rank(pool_of(probabilities), 10, np.random.default_rng(0))
    assert ranking.parts is None or np.isfinite(ranking.parts).all()


@given(arrays.arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0, 1, 2, 3, 0.5])), st.integers(1, 70))
def test_the_highest_are_those_of_a_stable_sort(scores, count):
    assert highest(scores, count).tolist() == sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:count]


def test_bald_is_the_information_of_a_plain_loop():
    pool = random_pool(40)
    rng, repeated = np.random.default_rng(3), np.random.default_rng(3)
    values = information(pool.features, pool.logits_of, rng)
    passes = []
    for _ in range(10):
        kept = (repeated.random(D) >= 0.3) / 0.7
        passes.append(1 / (1 + np.exp(-(pool.features * kept) @ pool.logits_of.weight.T.astype(np.float64))))
    for row in range(40):
        for column in range(F):
            seen = [float(one[row, column]) for one in passes]
            expected = plain_entropy(sum(seen) / 10) - sum(map(plain_entropy, seen)) / 10
            assert values[row, column] == pytest.approx(expected, abs=2e-6)


def test_bald_prefers_contradiction_to_mere_doubt():
    features = np.zeros((2, D), np.float32)
    features[1] = 6
    head = LinearHead(np.tile(np.array([1, -1] * (D // 2), np.float32), (F, 1)), np.zeros(F, np.float32))
    pool = pool_of(np.full((2, F), 0.5), features=features, logits_of=head)
    assert STRATEGIES["bald"].rank(pool, 1, np.random.default_rng(0)).rows.tolist() == [1]


def test_plus_plus_draws_by_squared_distance():
    points = np.array([[0.0], [1.0], [3.0]], np.float32)
    weights = np.array([2.0, 1.0, 1.0])
    second = [plus_plus(points, weights, 2, np.random.default_rng(seed))[1] for seed in range(4000)]
    assert np.mean(np.array(second) == 2) == pytest.approx(0.9, abs=0.02)


def test_plus_plus_spreads_like_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(12, 1, 5)) * 20 + rng.normal(size=(12, 30, 5))).reshape(-1, 5).astype(np.float32)

    def clusters(rows):
        return len(set((np.asarray(rows) // 30).tolist()))

    ours = [clusters(plus_plus(points, np.ones(360), 12, np.random.default_rng(seed))) for seed in range(60)]
    theirs = [clusters(kmeans_plusplus(points, 12, random_state=seed, n_local_trials=1)[1]) for seed in range(60)]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.6)
    assert np.mean(ours) > 9


def test_plus_plus_goes_on_where_all_points_are_the_same():
    assert plus_plus(np.ones((5, 2), np.float32), np.array([1, 5, 3, 2, 4.0]), 9, np.random.default_rng(0)).tolist() == [1, 4, 2, 3, 0]


def test_the_first_typical_study_is_the_densest_and_its_neighbours_wait():
    points = np.random.default_rng(2).normal(size=(90, 4)).astype(np.float32)
    gaps = np.linalg.norm(points[:, None].astype(np.float64) - points, axis=2)
    np.fill_diagonal(gaps, np.inf)
    density = [-np.sort(row)[:NEIGHBOURS].mean() for row in gaps]
    order = typical_order(points, 90)
    assert order[0] == np.argmax(density)
    assert order[1] not in np.argsort(gaps[order[0]])[:NEIGHBOURS]
    free = [row for row in np.argsort(-np.array(density)) if row not in {order[0], *np.argsort(gaps[order[0]])[:NEIGHBOURS]}]
    assert order[1] == free[0]
    assert sorted(order) == list(range(90))


def test_typical_studies_are_of_every_cluster_and_no_outlier():
    rng = np.random.default_rng(0)
    clusters = (rng.normal(size=(3, 1, D)) * 30 + rng.normal(size=(3, 60, D))).reshape(-1, D)
    features = np.vstack([clusters, [np.full(D, 500.0)]]).astype(np.float32)
    rows = STRATEGIES["typical"].rank(random_pool(181, features=features), 3, rng).rows
    assert sorted((rows // 60).tolist()) == [0, 1, 2]


def test_vote_entropy_is_that_of_the_shares():
    votes = Votes(np.array([9, 9, 9, 4, 4, 4, 4]), np.array([1, 1, 2, 0, 0, 0, 0]), np.array([0, 1, 2, 0, 1, 2, 2]))
    rows, parts = vote_entropy(votes, 3)
    assert rows.tolist() == [4, 9]
    np.testing.assert_allclose(parts, [[1.5 * math.log(2), 0, 0], [0, math.log(2), 0]], atol=1e-12)
    assert not np.signbit(parts).any()


def test_studies_on_which_readers_agree_are_not_offered_for_disagreement():
    votes = Votes(np.array([0, 0, 1, 1]), np.zeros(4, int), np.array([1, 1, 0, 1]))
    assert STRATEGIES["disagreement"].rank(random_pool(3, votes=votes), 3, np.random.default_rng(0)).rows.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "lacking", "code"),
    [
        ("bald", "features", "features_missing"),
        ("bald", "logits_of", "head_missing"),
        ("rare_positives", "features", "features_missing"),
        ("typical", "features", "features_missing"),
        ("disagreement", "votes", "votes_missing"),
    ],
)
def test_what_a_strategy_lacks_is_named(name, lacking, code):
    with pytest.raises(InvalidRequest) as refusal:
        STRATEGIES[name].rank(random_pool(9, **{lacking: None}), 2, np.random.default_rng(0))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"probabilities": np.full((5, F), np.nan, np.float32)}, "probabilities"),
        ({"probabilities": np.full((5, F), 1.01, np.float32)}, "probabilities"),
        ({"probabilities": np.zeros((5, F + 1), np.float32)}, "probabilities"),
        ({"estimable": np.ones(F - 1, bool)}, "estimable"),
        ({"positives": np.full(F, -1)}, "positives"),
        ({"positives": np.full(F, np.nan)}, "positives"),
        ({"features": np.zeros((4, D), np.float32)}, "features"),
        ({"votes": Votes(np.array([5]), np.array([0]), np.array([0]))}, "votes"),
        ({"votes": Votes(np.array([0]), np.array([F]), np.array([0]))}, "votes"),
        ({"votes": Votes(np.array([0]), np.array([0]), np.array([3]))}, "votes"),
        ({"votes": Votes(np.array([0, 1]), np.array([0]), np.array([0]))}, "votes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(changes, field):
    with pytest.raises(InvalidRequest) as refusal:
        pool_of(**{"probabilities": np.zeros((5, F), np.float32), **changes})
    assert refusal.value.field == field
