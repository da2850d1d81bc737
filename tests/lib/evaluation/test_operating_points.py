"""Operating points do what their rule says on the studies they were chosen on, and are missing where there is nothing to choose from."""

import numpy as np
import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.operating_points import Rule, fit_operating_points, operating_point, parse_rule, youden_point


@pytest.fixture
def validation():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 300).astype(float)
    return truth, np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.15), 0, 1), 2)


def rates(truth, probability, point):
    return np.mean(probability[truth == 1] >= point), np.mean(probability[truth == 0] < point)


def test_youden_point_is_the_best_of_all_thresholds(validation):
    truth, probability = validation
    point = youden_point(truth, probability)
    assert sum(rates(truth, probability, point)) == pytest.approx(max(sum(rates(truth, probability, t)) for t in probability))


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.95])
def test_sensitivity_is_reached_with_the_best_specificity(validation, wanted):
    truth, probability = validation
    point = fit_operating_points(truth[:, None], probability[:, None], ["a"], f"sensitivity={wanted}")["a"]
    sensitivity, specificity = rates(truth, probability, point)
    assert sensitivity >= wanted
    assert all(rates(truth, probability, t)[1] <= specificity for t in probability if rates(truth, probability, t)[0] >= wanted)


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.95])
def test_specificity_is_reached_with_the_best_sensitivity(validation, wanted):
    truth, probability = validation
    point = fit_operating_points(truth[:, None], probability[:, None], ["a"], f"specificity={wanted}")["a"]
    sensitivity, specificity = rates(truth, probability, point)
    assert specificity >= wanted
    assert all(rates(truth, probability, t)[0] <= sensitivity for t in probability if rates(truth, probability, t)[1] >= wanted)


def test_findings_that_are_not_estimable_have_no_point(validation):
    truth, probability = validation
    rare = np.zeros(300)
    rare[:4] = 1
    table = np.stack([truth, rare, np.full(300, np.nan)], axis=1)
    points = fit_operating_points(table, np.stack([probability] * 3, axis=1), ["common", "rare", "never"], Rule("youden"))
    assert set(points) == {"common"}


def test_no_point_where_certainty_leaves_none():
    positive = np.r_[np.ones(5, bool), np.zeros(5, bool)]
    assert operating_point(positive, np.ones(10) - np.r_[np.zeros(9), 0.5], Rule("specificity", 0.9)) is None


@pytest.mark.parametrize("text", ["youden", "sensitivity=0.95", "specificity>=0.9"])
def test_rules_are_read(text):
    assert str(parse_rule(text)).replace(" ", "").replace(">=", "=") == text.replace(">=", "=")


@pytest.mark.parametrize("text", ["youden=1", "sensitivity", "sensitivity=1", "recall=0.9", "specificity=nan", ""])
def test_other_rules_are_refused(text):
    with pytest.raises(InvalidRequest, match="sensitivity=X") as refusal:
        parse_rule(text)
    assert refusal.value.field == "points"
