"""What is offered: a share at random that no score touches, the rest by the strategy, each with its reason."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headct_molre.errors import InvalidRequest, NotFound
from headct_molre.findings import finding, finding_keys
from headct_molre.selection import DEFAULT_STRATEGY, STRATEGIES, Pool, Votes, select
from headct_molre.selection.uncertainty import entropy, rarity_entropy_scores

KEYS = finding_keys()


def pool_of(studies, seed=0, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        "probabilities": (rng.random((studies, len(KEYS))) ** 3).astype(np.float32),
        "estimable": np.arange(len(KEYS)) % 5 > 0,
        "positives": rng.integers(0, 200, len(KEYS)),
        "features": rng.normal(size=(studies, 6)).astype(np.float32),
        "logits_of": lambda features: np.repeat(features[:, :1], len(KEYS), 1),
        "votes": Votes(np.repeat(np.arange(studies), 2), np.zeros(2 * studies, int), np.tile([0, 1], studies)),
    }
    return Pool(**{**fields, **changes})


@pytest.mark.parametrize("name", STRATEGIES)
@given(studies=st.integers(0, 60), count=st.integers(1, 40), share=st.floats(0.1, 0.25), seed=st.integers(0, 10**6))
def test_the_share_of_random_studies_is_what_was_asked_for(name, studies, count, share, seed):
    chosen = select(name, pool_of(studies), count, np.random.default_rng(seed), share)
    wanted = min(count, studies)
    assert len(chosen) == wanted
    assert len({one.row for one in chosen}) == wanted
    drawn = sum(one.random for one in chosen)
    assert drawn == wanted if name == "random" else np.floor(wanted * share) <= drawn <= np.ceil(wanted * share)


def test_one_at_a_time_the_share_holds_on_average():
    pool, rng = pool_of(50), np.random.default_rng(0)
    drawn = [select(DEFAULT_STRATEGY, pool, 1, rng, 0.2)[0].random for _ in range(3000)]
    assert np.mean(drawn) == pytest.approx(0.2, abs=0.025)


def test_the_same_seed_gives_the_same_studies_and_another_gives_others():
    pool = pool_of(400)
    for name in STRATEGIES:
        first, again, other = (select(name, pool, 20, np.random.default_rng(seed)) for seed in (4, 4, 5))
        assert first == again
        assert first != other


def test_random_studies_are_drawn_from_all_with_the_same_chance():
    pool = pool_of(20)
    counts = np.zeros(20)
    for seed in range(4000):
        for one in select(DEFAULT_STRATEGY, pool, 8, np.random.default_rng(seed), 0.25):
            counts[one.row] += one.random
    expected = 4000 * 2 / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # chi-squared, 19 degrees of freedom, p = 0.001


def test_which_studies_are_random_does_not_depend_on_any_score():
    def drawn(pool):
        return sorted(one.row for one in select(DEFAULT_STRATEGY, pool, 40, np.random.default_rng(3)) if one.random)

    assert drawn(pool_of(300, seed=1)) == drawn(pool_of(300, seed=2))


def test_the_others_are_the_best_of_those_that_were_not_drawn():
    pool = pool_of(300)
    chosen = select(DEFAULT_STRATEGY, pool, 40, np.random.default_rng(1))
    drawn = {one.row for one in chosen if one.random}
    best = [row for row in np.argsort(-rarity_entropy_scores(pool), kind="stable").tolist() if row not in drawn]
    assert [one.row for one in chosen if not one.random] == best[: 40 - len(drawn)]


def test_the_place_in_the_list_does_not_tell_which_studies_are_random():
    places = np.zeros(10)
    for seed in range(2000):
        for place, one in enumerate(select(DEFAULT_STRATEGY, pool_of(30), 10, np.random.default_rng(seed), 0.2)):
            places[place] += one.random
    assert ((places - 400) ** 2 / 400).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


def test_a_reason_names_the_three_findings_with_the_largest_shares():
    pool = pool_of(50)
    for one in select(DEFAULT_STRATEGY, pool, 10, np.random.default_rng(0)):
        if one.random:
            assert one.why.sentence == "Drawn at random, whatever the model says."
            assert one.why.shares == {}
            continue
        parts = entropy(pool.probabilities[one.row]) * pool.rarity
        largest = np.argsort(-parts)[:3]
        assert list(one.why.shares) == [KEYS[column] for column in largest]
        assert list(one.why.shares.values()) == pytest.approx((parts / parts.sum())[largest].tolist(), rel=1e-5)
        names = [f"{finding(key).display_name} {round(share * 100)} %" for key, share in one.why.shares.items()]
        assert one.why.sentence == f"Rare and uncertain: {', '.join(names)}."


def test_a_finding_without_any_part_is_not_named():
    probabilities = np.zeros((30, len(KEYS)), np.float32)
    probabilities[:, 1] = 0.5
    for one in select(DEFAULT_STRATEGY, pool_of(30, probabilities=probabilities), 20, np.random.default_rng(0)):
        assert list(one.why.shares) == ([] if one.random else [KEYS[1]])
    for one in select(DEFAULT_STRATEGY, pool_of(30, probabilities=0 * probabilities), 20, np.random.default_rng(0)):
        assert one.why.shares == {}


def test_few_disagreements_are_not_filled_up_with_agreement():
    votes = Votes(np.array([3, 3, 8, 8]), np.zeros(4, int), np.array([0, 1, 1, 2]))
    chosen = select("disagreement", pool_of(40, votes=votes), 20, np.random.default_rng(0))
    assert {one.row for one in chosen if not one.random} <= {3, 8}
    assert sum(one.random for one in chosen) in (3,)


@pytest.mark.parametrize(
    ("arguments", "error", "field"),
    [
        (("fortune", 5, 0.15), NotFound, "strategy"),
        ((DEFAULT_STRATEGY, 0, 0.15), InvalidRequest, "count"),
        ((DEFAULT_STRATEGY, 5, 0.05), InvalidRequest, "random_share"),
        ((DEFAULT_STRATEGY, 5, 0.3), InvalidRequest, "random_share"),
        ((DEFAULT_STRATEGY, 5, float("nan")), InvalidRequest, "random_share"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(arguments, error, field):
    name, count, share = arguments
    with pytest.raises(error) as refusal:
        select(name, pool_of(9), count, np.random.default_rng(0), share)
    assert refusal.value.field == field


def test_selection_needs_no_torch():
    command = "import sys, headct_molre.selection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
