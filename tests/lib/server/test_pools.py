"""What a server ranks studies from follows the store: predictions, readings, reopened studies, a new champion; and says what is missing."""

import numpy as np
import pytest

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_spec
from headct_molre.schema import Calibration, PredictionModel
from headct_molre.selection import STRATEGIES
from headct_molre.server.pools import Pools
from reading_room import reading, register
from small_backbones import small_backbones, use_small_backbones
from store_contents import prediction
from trained_versions import install_backbone, install_version

MODEL, STUDIES = "dinov3_base", 30
KEYS = finding_keys()
TESTED = {"operating_points": dict.fromkeys(KEYS, 0.5)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    install_backbone(tmp_path, small_backbones()[MODEL])
    return tmp_path


@pytest.fixture
def card(home):
    return install_version(home, backbone_spec(MODEL), **TESTED)[1]


@pytest.fixture
def store(tmp_path):
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    register(store, STUDIES)
    yield store
    store.close()


@pytest.fixture
def pools(store):
    return Pools(store)


def predict(store, card, numbers, sure=0.001):
    """Predictions of studies: all findings `sure`, but for the first, of which nobody is less sure than of that of study 1."""
    dimension = backbone_spec(card.backbone).dimension
    for number in numbers:
        document = prediction(f"study-{number}", sure)
        first = document.findings[0].model_copy(update={"probability": 0.5 / number})
        model = PredictionModel(**card.model_dump(include=set(PredictionModel.model_fields)))
        document = document.model_copy(update={"findings": [first, *document.findings[1:]], "model": model})
        content = f"{number:064x}"
        store.studies.set_content(f"study-{number}", content, "stamp")
        store.predictions.put(content, document, np.random.default_rng(number).normal(size=dimension))


def ranked(pools, strategy="rarity_entropy", hidden=(), count=5):
    return pools.candidates(MODEL, strategy, count, set(hidden), seed=0)


def first(pools, **options):
    return next(iter(ranked(pools, **options).reasons), None)


def test_studies_come_in_the_order_of_the_strategy_with_their_reason(pools, store, card):
    predict(store, card, range(1, STUDIES + 1))
    found = ranked(pools)
    assert list(found.reasons) == [f"study-{number}" for number in range(1, 6)]
    assert found.remark == ""
    assert found.reasons["study-1"].startswith("Rare and uncertain: ")
    assert found.reasons["study-1"].count("%") == 3
    assert first(pools, hidden=["study-1", "study-2"]) == "study-3"


def test_the_pool_follows_predictions_readings_and_reopened_studies_in_each_database(store_url, card):
    store = StudyStore(store_url)
    register(store, STUDIES)
    pools = Pools(store)
    predict(store, card, range(5, STUDIES + 1))
    assert first(pools) == "study-5"
    predict(store, card, range(2, 5))
    assert first(pools) == "study-2"
    store.submissions.add(reading("study-2", "anna"))
    assert first(pools) == "study-3"
    store.readings.reopen("study-2", "dan", "again")
    assert first(pools) == "study-2"
    store.submissions.add(reading("study-2", "anna"))
    store.readings.require(["study-2"], 2, "dan")
    assert first(pools) == "study-2"
    other = Pools(store)
    assert list(ranked(other, count=40).reasons.items()) == list(ranked(pools, count=40).reasons.items()), "as one that is made anew"
    store.readings.require(None, 3, "dan")
    store.submissions.add(reading("study-4", "anna", **{KEYS[0]: "present"}))
    store.submissions.add(reading("study-4", "ben", **{KEYS[0]: "absent"}))
    assert list(ranked(pools, "disagreement").reasons) == ["study-4"]
    store.close()


def test_a_finding_that_readers_found_often_counts_less(pools, store, card):
    predict(store, card, range(1, STUDIES))
    share = share_of_first(ranked(pools))
    for number in range(20, 26):
        store.submissions.add(reading(f"study-{number}", "anna", **{KEYS[0]: "present"}))
    assert share_of_first(ranked(pools)) < share
    store.submissions.add(reading("study-25", "anna", **{KEYS[0]: "absent"}))
    assert share_of_first(ranked(Pools(store))) == share_of_first(ranked(pools)), "a correction takes the label back"


def share_of_first(found):
    sentence = found.reasons["study-1"]
    return int(sentence.partition(" %")[0].rpartition(" ")[2])


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("random", "disagreement")])
def test_every_strategy_ranks_open_studies_alone(pools, store, home, strategy):
    card = install_version(home, backbone_spec(MODEL), calibration={KEYS[0]: Calibration(slope=2.0, intercept=1.0)}, **TESTED)[1]
    predict(store, card, range(1, STUDIES + 1))
    store.submissions.add(reading("study-1", "anna"))
    found = ranked(pools, strategy, ["study-2"], count=10)
    assert (len(found.reasons), found.remark) == (10, "")
    assert not {"study-1", "study-2"} & found.reasons.keys()


def test_disagreement_needs_no_model_and_offers_what_two_readers_read_and_not_alike(pools, store, card):
    assert ranked(pools, "disagreement").remark == "There is no study for you on which readers disagree"
    store.readings.require(None, 3, "dan")
    for study, states in (("study-1", ("present", "absent")), ("study-2", ("present", "present")), ("study-3", ("present",))):
        for reader, state in zip(("anna", "ben"), states, strict=False):
            store.submissions.add(reading(study, reader, **{KEYS[0]: state}))
    found = ranked(pools, "disagreement")
    assert list(found.reasons) == ["study-1"]
    assert found.reasons["study-1"].startswith("Readers disagree: ")
    assert ranked(pools, "disagreement", ["study-1"]).reasons == {}
    store.submissions.add(reading("study-1", "cleo"))
    assert ranked(pools, "disagreement").reasons == {}, "it needs no more readers"


def test_a_cold_start_says_so_and_leaves_the_choice_to_chance(pools, store, card):
    assert ranked(pools).reasons == {}
    assert ranked(pools).remark == f"{MODEL} {card.version} has predicted 0 of 30 open studies so far"
    predict(store, card, range(1, 3))
    assert "2 of 30" in ranked(pools).remark
    predict(store, card, range(3, 4))
    assert ranked(pools).remark == ""
    assert first(pools) == "study-1"


def test_without_a_trained_version_it_is_chance_too(pools, home):
    assert ranked(pools).remark == f"There is no trained version of {MODEL} here"


def test_a_version_that_was_never_tested_ranks_typical_studies(pools, store, home):
    card = install_version(home, backbone_spec(MODEL))[1]
    predict(store, card, range(1, STUDIES + 1))
    found = ranked(pools)
    assert found.remark == f"{MODEL} {card.version} was not tested on any finding yet"
    assert found.reasons.keys() == ranked(pools, "typical").reasons.keys()


def test_until_a_new_champion_has_predicted_the_version_before_ranks(pools, store, home, card):
    predict(store, card, range(1, STUDIES + 1))
    assert first(pools) == "study-1"
    new = install_version(home, backbone_spec(MODEL), "8", seed=1, **TESTED)[1]
    found = ranked(pools)
    assert next(iter(found.reasons)) == "study-1"
    assert found.remark == f"{MODEL} 8 has predicted 0 of 30 open studies so far, so {card.version} ranks them"
    predict(store, new, range(4, STUDIES + 1))
    assert (first(pools), ranked(pools).remark) == ("study-4", "")


def test_predictions_without_features_leave_what_needs_them_to_chance(pools, store, card):
    predict(store, card, range(1, STUDIES + 1))
    from store_contents import sql

    sql(store.database.url.render_as_string(hide_password=False), "UPDATE summaries SET features = NULL")
    assert first(pools) == "study-1"
    found = ranked(pools, "bald")
    assert found.reasons == {}
    assert "no features" in found.remark


def test_a_pool_that_is_loaded_ahead_is_the_one_that_serves(pools, store, card):
    predict(store, card, range(1, STUDIES + 1))
    pools.warm(MODEL).join(30)
    loaded = dict(pools._pools)
    assert first(pools) == "study-1"
    assert pools._pools == loaded
