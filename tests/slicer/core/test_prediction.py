"""A Prediction as arrays, and what may be said of each finding."""

import json

import numpy as np
import pytest

from headct_molre.explain.key_slices import key_slices
from HeadCTFindingsLib.core.errors import NotReadable
from HeadCTFindingsLib.core.prediction import ABOVE, DEMO, NOT_ASSESSED, NOT_DETECTED, RESEARCH_USE, PredictionView

BLEED = "subdural_hematoma"


def test_its_arrays_have_the_shapes_of_the_contract(view):
    shown = view({BLEED: 4})
    assert shown.evidence.shape == (75, 10)
    assert shown.router.shape == (10, 6)
    assert shown.centres.shape == (10, 3)
    np.testing.assert_allclose(shown.router.sum(1), 1)
    np.testing.assert_allclose(shown.evidence.sum(1) + shown.bias, shown.logit)
    assert (shown.slices, shown.experts, shown.frame.shape) == (10, 6, (10, 240, 192))
    assert shown.warnings[0].code == "motion"
    assert shown.facts["tilt_degrees"] == 3.0


def test_below_the_threshold_is_never_ruled_out(view):
    shown = view({BLEED: 4})
    assert shown.statement(BLEED) == ABOVE
    assert shown.statement("hydrocephalus") == NOT_DETECTED == "not detected, not ruled out"
    assert shown.statement("calvarial_thickening") == NOT_ASSESSED
    assert np.isnan(shown.operating_point[-1])
    assert not shown.positive[-1]


def test_a_demo_says_so_wherever_it_shows_a_number(view):
    assert view(demo=True).notes == (DEMO, RESEARCH_USE)
    assert "DEMO" in view(demo=True).title
    assert view(demo=False).notes == (RESEARCH_USE,)
    assert view(demo=False).title == "demo 2.0"


def test_selecting_a_finding_leads_to_its_slice_of_most_evidence(view):
    shown = view({BLEED: 4})
    assert shown.best_slice(BLEED) == 4
    assert shown.best_slice("hydrocephalus") is None  # no slice speaks for it
    assert shown.evidence_of(BLEED)[4] == 6.0


def test_key_slices_are_those_of_the_servers_heat_maps(view):
    shown = view({BLEED: [2, 3, 7], "sinusitis": 0})
    for key in (BLEED, "sinusitis", "hydrocephalus"):
        assert shown.key_slices(key) == tuple(key_slices(shown.evidence_of(key), 4.0))


def test_the_strongest_findings_of_a_slice(view):
    shown = view({BLEED: 4, "sinusitis": 1})
    assert shown.top_findings(4) == ((BLEED, 6.0),)
    assert shown.top_findings(0) == ()


def test_a_model_without_slices_apart_or_router_is_read_too(view):
    assert view(experts=0).router.shape == (10, 0)
    assert view(experts=0).router_level is None
    assert view(level="volume").router_level == "volume"


def test_an_unknown_finding_is_a_key_error(view):
    with pytest.raises(KeyError):
        view().statement("hair_loss")


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.update(schema="headct.prediction/2"),
        lambda document: document.pop("evidence"),
        lambda document: document["evidence"].pop(),
        lambda document: document["findings"][0].update(probability="high"),
        lambda document: document["findings"][0].update(logit=float("nan")),
        lambda document: document["frame"].update(model_to_ras=[[0] * 4] * 4),
        lambda document: document["frame"].update(shape=[3, 240, 192]),
        lambda document: document["slices"][0].update(router=[1.0]),
    ],
)
def test_what_is_not_as_the_contract_says_is_refused(prediction, damage):
    document = json.loads(json.dumps(prediction()))
    damage(document)
    with pytest.raises(NotReadable):
        PredictionView.from_json(document)


@pytest.mark.parametrize("document", [None, [], "text"])
def test_something_else_is_refused(document):
    with pytest.raises(NotReadable):
        PredictionView.from_json(document)
