"""The whole evaluation: finite numbers or a reason, for every finding, whatever the cohort."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from headct_molre.data.cohort import Cohort
from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.auc import auc_estimate
from headct_molre.evaluation.evaluate import Report, evaluate_cohort
from headct_molre.evaluation.frozen import fit_frozen
from headct_molre.evaluation.scores import Scores
from headct_molre.findings import finding_keys
from headct_molre.models.checkpoint import load_card
from simulated_cohort import simulated

KEYS = finding_keys()


@pytest.fixture(scope="module")
def data():
    return simulated(500, seed=4)


@pytest.fixture(scope="module")
def report(data):
    cohort, scores, other = data
    frozen = fit_frozen(cohort.part("validation"), scores)
    site = {"acute_infarct": 0.2}
    return evaluate_cohort(cohort.part("test"), scores, frozen=frozen, against=other, split="test", prevalence=site, replicates=100)


def numbers(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from numbers(value)
    elif isinstance(node, list):
        for value in node:
            yield from numbers(value)
    elif isinstance(node, float):
        yield node


def estimates(node):
    if isinstance(node, dict):
        if set(node) == {"value", "low", "high", "reason"}:
            yield node
        for value in node.values():
            yield from estimates(value)
    elif isinstance(node, list):
        for value in node:
            yield from estimates(value)


def test_the_document_holds_finite_numbers_and_reads_back(report):
    document = json.loads(report.to_json())
    assert document["schema"] == "headct.evaluation/1"
    assert all(math.isfinite(value) for value in numbers(document))
    assert all(one["reason"] for one in estimates(document) if one["value"] is None)
    assert Report.model_validate_json(report.to_json()) == report


def test_every_finding_is_there_in_taxonomy_order(report):
    assert [one.key for one in report.findings] == list(KEYS)


def test_a_finding_is_what_its_parts_say(data, report):
    test = data[0].part("test")
    truth = test.labels()
    logits = data[1].of(tuple(study.study for study in test.studies)).logits
    for column in (0, 30, 74):
        one = report.findings[column]
        assert one.auc == auc_estimate(truth[:, column], logits[:, column])
        assert one.positives + one.negatives == one.assessed == np.isfinite(truth[:, column]).sum()


def test_the_summary_is_over_estimable_findings(report):
    known = [one.auc.value for one in report.findings if one.auc.value is not None]
    assert 20 < len(known) < 75
    assert report.summary.findings_estimable == len(known)
    assert report.summary.macro_auc.value == pytest.approx(np.mean(known))
    assert report.summary.sd_auc == pytest.approx(np.std(known, ddof=1))
    assert report.summary.above_090.value == sum(value > 0.9 for value in known)
    assert report.summary.above_090_by_lower_bound == sum((one.auc.low or 0) > 0.9 for one in report.findings)
    assert sum(one.estimable for one in report.summary.categories) == len(known)
    assert report.summary.macro_auc.low < report.summary.macro_auc.value < report.summary.macro_auc.high


def test_frozen_calibration_is_near_the_truth_and_named(report):
    common = [one.calibration.expected_to_observed.value for one in report.findings if one.positives > 40]
    assert common == pytest.approx(np.ones(len(common)), abs=0.35)
    assert "validation studies, points by youden" in report.settings.frozen


def test_a_sites_prevalence_applies_to_the_finding_that_was_given(report):
    given = [one for one in report.findings if one.operating.site_prevalence is not None]
    assert [one.key for one in given] == ["acute_infarct"]


def test_without_anything_frozen_there_are_no_points_and_no_calibration(data):
    cohort, scores, _ = data
    report = evaluate_cohort(cohort, scores, replicates=0)
    common = max(report.findings, key=lambda one: one.positives)
    assert common.operating.sensitivity.reason == "no frozen operating point"
    assert common.calibration.ece.reason == "no frozen calibration"
    assert report.summary.macro_auc.reason == "no interval: no replicates were drawn"
    assert report.comparison is None


def test_with_a_card_its_points_apply_and_a_demo_is_marked(data):
    cohort, scores, _ = data
    card = load_card("demo")
    report = evaluate_cohort(cohort, scores, card, replicates=0)
    assert report.model.demo
    assert (report.model.name, report.model.version) == (card.name, card.version)
    for one in report.findings:
        assert one.operating.operating_point == card.operating_points.get(one.key)


def test_refused_studies_are_listed_and_count_nowhere(data):
    cohort, scores, _ = data
    refused = {cohort.studies[0].study: "not a head"}
    rest = Scores(scores.studies[1:], scores.logits[1:])
    report = evaluate_cohort(cohort, rest, refused=refused, replicates=0)
    assert report.cohort.studies == len(cohort) - 1
    assert report.cohort.refused == refused


def test_the_order_of_the_studies_does_not_matter(data):
    cohort, scores, _ = data
    order = np.random.default_rng(0).permutation(len(cohort))
    one, other = evaluate_cohort(cohort, scores, replicates=60), evaluate_cohort(cohort.take(order), scores, replicates=60)
    assert one.summary.macro_auc.low == pytest.approx(other.summary.macro_auc.low, abs=1e-12)
    assert one.findings[5].auc.low == pytest.approx(other.findings[5].auc.low, abs=1e-12)


def test_missing_scores_and_empty_splits_are_refused(data):
    cohort, scores, _ = data
    with pytest.raises(InvalidRequest, match="no scores of 1 studies"):
        evaluate_cohort(cohort, Scores(scores.studies[1:], scores.logits[1:]), replicates=0)
    with pytest.raises(InvalidRequest, match="no studies of the split 'train'"):
        evaluate_cohort(cohort.part("train"), scores, split="train")
    with pytest.raises(InvalidRequest, match="'validation'"):
        fit_frozen(cohort.part("train"), scores)


@pytest.mark.parametrize("states", [0, 1, 2])
def test_a_cohort_that_says_nothing_is_evaluated_to_reasons(data, states):
    cohort, scores, other = data
    blank = Cohort(
        tuple(replace(study, site=None, scanner=None, sex=None, age_years=None, slice_thickness_mm=None) for study in cohort.studies[:20]),
        np.full((20, 75), states, np.uint8),
    )
    report = evaluate_cohort(blank, scores, against=other, replicates=20)
    assert report.summary.findings_estimable == 0
    assert report.summary.macro_auc.value is None
    assert report.subgroups == []
    assert report.comparison.findings == []
    assert all(math.isfinite(value) for value in numbers(json.loads(report.to_json())))
