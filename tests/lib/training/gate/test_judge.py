"""What the gate decides, and why: gains and losses that are known, and input that is poisoned."""

from dataclasses import replace

import numpy as np
import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.schema import Calibration
from headct_molre.training.gate import GatePolicy, GateReport, HeldOut, judge
from simulated_versions import KEYS, held_out_pair, version_card

CHAMPION, CANDIDATE = version_card("1"), version_card("2")
QUICK = GatePolicy(replicates=0)


def judged(corrections, source=None, candidate=CANDIDATE, **policy):
    return judge(corrections, source, CHAMPION, candidate, GatePolicy(**{"replicates": 0, **policy}), created="2026-01-01")


def codes(report, weighs=None):
    return [reason.code for reason in report.reasons if weighs in (None, reason.weighs)]


@pytest.fixture(scope="module")
def better():
    return held_out_pair(250, seed=1, gain=0.3, readers=3)


@pytest.fixture(scope="module")
def source():
    return held_out_pair(900, seed=2)


@pytest.fixture(scope="module")
def promoted(better, source):
    return judged(better, source)


def test_a_candidate_that_is_better_and_loses_nothing_is_promoted(promoted):
    assert promoted.outcome == "promote"
    assert codes(promoted) == ["better"]
    assert promoted.corrections.difference.low > 0
    assert promoted.summary[0] == "The candidate 2 is better than 1 and may take its place."


def test_only_an_automatic_policy_promotes_by_itself(promoted, better, source):
    assert not promoted.promotes_by_itself
    assert judged(better, source, decision="automatic").promotes_by_itself
    assert not judged(source, decision="automatic").promotes_by_itself


def test_the_same_input_gives_the_same_report(promoted, better, source):
    assert judged(better, source).to_json() == promoted.to_json()


def test_the_order_of_the_studies_does_not_matter(promoted, better, source):
    order = np.random.default_rng(0).permutation(len(better))
    shuffled = HeldOut(*(getattr(better, name)[order] for name in ("truth", "champion", "candidate", "patients", "readers")))
    report = judged(shuffled, source)
    assert codes(report) == codes(promoted)
    assert report.corrections.difference.low == pytest.approx(promoted.corrections.difference.low, abs=1e-12)


def test_the_report_survives_its_own_json(promoted):
    assert GateReport.model_validate_json(promoted.to_json()) == promoted


def test_versions_that_rank_alike_are_held(source):
    report = judged(replace(source, candidate=source.champion))
    assert report.outcome == "hold"
    assert codes(report) == ["not_better"]
    assert report.corrections.difference.value == 0


def test_a_candidate_that_is_worse_is_rejected(better):
    report = judged(replace(better, champion=better.candidate, candidate=better.champion))
    assert report.outcome == "reject"
    assert "worse" in codes(report, "reject")


def test_one_common_finding_that_got_worse_rejects_a_better_mean():
    held = held_out_pair(400, seed=3, gain=0.4)
    candidate = held.candidate.copy()
    candidate[:, 0] = np.random.default_rng(0).normal(size=len(held))
    report = judged(replace(held, candidate=candidate))
    assert report.corrections.difference.low > 0
    assert codes(report, "reject") == ["common_finding_worse"]
    assert [one.key for one in report.findings if one.verdict == "worse"] == [KEYS[0]]


def test_a_loss_on_the_source_set_rejects(better):
    report = judged(better, held_out_pair(900, seed=4, gain=-0.4))
    assert codes(report, "reject") == ["source_worse"]
    assert report.corrections.difference.low > 0


def test_a_source_set_that_is_too_small_to_exclude_a_loss_holds(better):
    report = judged(better, held_out_pair(60, seed=7, gain=-0.1))
    assert report.outcome == "hold"
    assert "source_not_shown" in codes(report)


def test_a_source_set_that_the_policy_asks_for_must_be_there(better):
    assert codes(judged(better, source_required=True), "hold") == ["source_missing"]
    assert any("no source set" in sentence for sentence in judged(better).summary)


def test_a_calibration_that_got_worse_holds(better, source):
    shifted = version_card("2", calibration=dict.fromkeys(KEYS, Calibration(slope=1, intercept=2)))
    report = judged(better, source, shifted)
    assert codes(report, "hold") == ["calibration_worse"]
    assert [one.name for one in report.calibration.measures if one.worse] == ["ECE", "Brier score", "calibration in the large"]


def test_without_calibration_nothing_is_said_of_it(better):
    report = judged(better, candidate=version_card("2", calibration={}))
    assert report.calibration.measures == []
    assert report.calibration.reason


def test_findings_that_are_no_longer_called_hold(better, source):
    lost = version_card("2", operating_points=dict.fromkeys(KEYS[1:], 0.5))
    assert codes(judged(better, source, lost), "hold") == ["findings_lost"]


def test_of_findings_without_data_it_is_said_with_their_counts(promoted):
    silent = [one for one in promoted.findings if one.verdict == "no_data"]
    assert silent
    for one in silent:
        assert f"({one.positives} positive, {one.negatives} negative): no data to judge" in one.sentence
        assert one.difference is None
    assert any(f"Of {len(silent)} of 75 findings nothing can be said" in sentence for sentence in promoted.summary)
    assert [one.key for one in promoted.findings] == list(KEYS)


@pytest.mark.parametrize(("score", "said"), [(np.nan, "no score for this finding"), (np.inf, "no score"), (0.3, "the same score")])
def test_a_candidate_that_is_silent_on_a_finding_is_held(better, score, said):
    candidate = better.candidate.copy()
    candidate[:, 0] = score
    report = judged(replace(better, candidate=candidate))
    assert codes(report, "hold") == ["scores_missing"]
    assert report.findings[0].verdict == "no_data"
    assert said in report.findings[0].sentence


# Poisoned input.


def test_labels_that_are_all_turned_round_are_rejected(better, source):
    turned = replace(better, truth=1 - better.truth, candidate=-better.champion)
    report = judged(turned, replace(source, candidate=-source.champion))
    assert report.corrections.difference.low > 0  # by these labels, the candidate that learned them is far better
    assert codes(report, "reject") == ["labels_contradict", "source_worse"]
    assert report.labels.present_confirmed < 0.2 * report.labels.present_calls


def test_turned_labels_are_seen_without_a_source_set_and_without_calibration(better):
    turned = replace(better, truth=1 - better.truth, candidate=-better.champion)
    assert codes(judged(turned), "reject") == ["labels_contradict"]
    blind = judge(turned, None, version_card("1", calibration={}), CANDIDATE, QUICK)
    assert codes(blind, "reject") == ["labels_contradict"]


def test_one_finding_that_was_labelled_the_wrong_way_round_holds_and_is_named(better, source):
    truth = better.truth.copy()
    truth[:, 0] = 1 - truth[:, 0]
    candidate = better.candidate.copy()
    candidate[:, 0] = -better.champion[:, 0]
    report = judged(replace(better, truth=truth, candidate=candidate), source)
    assert report.outcome == "hold"
    assert codes(report, "hold") == ["labels_contradict_findings"]
    assert report.labels.contradicted == [KEYS[0]]


def test_a_reader_who_calls_at_random_is_named(better):
    rng = np.random.default_rng(0)
    truth = better.truth.copy()
    his = better.readers == "reader-1"
    truth[his] = rng.random(truth[his].shape) < 0.15
    # The candidate learned from this reader, too, and gained nothing.
    report = judged(replace(better, truth=truth, candidate=held_out_pair(250, seed=1, gain=0.0).candidate))
    assert report.outcome in ("hold", "reject")
    assert "reader_unlike_others" in codes(report)
    assert [check.reader for check in report.labels.readers if check.unlike_others] == ["reader-1"]


def test_readers_who_agree_are_not_named(promoted):
    assert [check.unlike_others for check in promoted.labels.readers] == [False] * 3


def test_three_corrections_are_too_few():
    report = judged(held_out_pair(3, seed=6, gain=1.0))
    assert report.outcome == "hold"
    assert codes(report) == ["too_few_studies"]
    assert "Too few: 3 held-out studies, at least 50 are needed" in report.reasons[0].sentence


def test_no_correction_at_all_is_too_few():
    empty = held_out_pair(0)
    assert codes(judged(empty)) == ["too_few_studies"]


@pytest.mark.parametrize("state", [0.0, 1.0, np.nan])
def test_labels_of_one_class_give_no_data_to_judge(better, state):
    report = judged(replace(better, truth=np.full_like(better.truth, state)))
    assert report.outcome == "hold"
    assert codes(report) == ["no_data_to_judge"]
    assert report.corrections.difference.reason


def test_two_models_are_not_compared(better):
    with pytest.raises(InvalidRequest, match="two models"):
        judge(better, None, CHAMPION, version_card("2", name="dinov3_base"), QUICK)


def test_arrays_that_do_not_fit_are_refused_by_name(better):
    with pytest.raises(InvalidRequest) as refusal:
        replace(better, candidate=better.candidate[:-1])
    assert refusal.value.field == "candidate"


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"alpha": 0.6}, {"power": 1}, {"minimum_cases": 1}, {"margin_source": -0.01}, {"aplha": 1}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GatePolicy(**wrong)
