"""Settings, window presets, the document of a submission, the time spent."""

import pytest

from headct_molre.explain.preview import VIEWING_WINDOWS_HU
from headct_molre.schema import Submission
from HeadCTFindingsLib.core import settings
from HeadCTFindingsLib.core.calls import MOST_COMMENT, PRESENT, Calls
from HeadCTFindingsLib.core.errors import ServerError, sentence
from HeadCTFindingsLib.core.history import readings
from HeadCTFindingsLib.core.presets import DEFAULT, PRESETS, preset, preset_for
from HeadCTFindingsLib.core.submission import Stopwatch, submission


@pytest.fixture
def store():
    return {}


@pytest.mark.parametrize("name", settings.SETTINGS)
def test_every_setting_has_a_default_that_can_be_stored_and_read(store, name):
    setting = settings.SETTINGS[name]
    assert settings.read(name, store.get) == setting.default
    settings.write(name, setting.default, store.__setitem__)
    assert settings.read(name, {key: str(value) for key, value in store.items()}.get) == setting.default  # as QSettings gives it back


def test_a_stored_value_that_makes_no_sense_is_the_default(store):
    store.update({"HeadCTFindings/window": "x-ray", "HeadCTFindings/overlay": "perhaps"})
    assert settings.read("window", store.get) == DEFAULT.key
    assert settings.read("overlay", store.get) is True
    store["HeadCTFindings/overlay"] = "false"
    assert settings.read("overlay", store.get) is False
    store["HeadCTFindings/overlay"] = 0
    assert settings.read("overlay", store.get) is False


def test_what_would_not_come_back_is_not_stored(store):
    with pytest.raises(ValueError, match="x-ray"):
        settings.write("window", "x-ray", store.__setitem__)
    with pytest.raises(KeyError):
        settings.read("colour", store.get)


def test_the_token_is_a_secret():
    assert [name for name, setting in settings.SETTINGS.items() if setting.secret] == ["token"]


def test_presets_are_the_windows_of_the_library():
    for each in PRESETS[:4]:
        low, high = VIEWING_WINDOWS_HU[each.key]
        assert (each.level - each.width / 2, each.level + each.width / 2) == (low, high)
    assert len({each.shortcut for each in PRESETS}) == len(PRESETS)
    assert "key B" in DEFAULT.tooltip


def test_a_finding_is_looked_for_in_its_own_window(catalogue):
    assert preset_for(catalogue, "skull_fracture").key == "bone"
    assert preset_for(catalogue, "hair_loss") == preset("x-ray") == DEFAULT
    for finding in catalogue.findings:
        assert {preset(window).key for window in finding.windows} == set(finding.windows)


def called(catalogue):
    calls = Calls(catalogue.keys)
    calls.set("midline_shift", PRESENT)
    return calls


def test_a_submission_is_one_as_the_server_takes_it(catalogue, view):
    calls = called(catalogue)
    calls.comment = "motion"
    document = submission(calls, "study-1", " anna ", view(), 12.345)
    stored = Submission.model_validate(document)
    assert (stored.reader, stored.seconds_spent, stored.comment) == ("anna", 12.3, "motion")
    assert (stored.model.name, stored.model.version) == ("demo", "2.0")
    assert stored.client.startswith("HeadCTFindings ")
    blind = Submission.model_validate(submission(calls, "study-1", "anna"))
    assert (blind.model, blind.seconds_spent) == (None, None)


def test_what_the_server_would_refuse_is_said_before(catalogue):
    calls = Calls(catalogue.keys)
    with pytest.raises(ValueError, match="no call"):
        submission(calls, "study-1", "anna")
    calls = called(catalogue)
    with pytest.raises(ValueError, match="reader"):
        submission(calls, "study-1", "  ")
    calls.comment = "x" * (MOST_COMMENT + 1)
    with pytest.raises(ValueError, match="10001 characters"):
        submission(calls, "study-1", "anna")


def test_time_that_nobody_spent_on_the_study_does_not_count():
    now = [0.0]
    watch = Stopwatch(idle_s=60, clock=lambda: now[0])
    assert watch.seconds == 0
    watch.touch()
    now[0] = 20
    assert watch.seconds == 20
    watch.touch()
    now[0] = 1000  # lunch
    assert watch.seconds == 80
    watch.touch()
    now[0] = 1010
    watch.pause()
    now[0] = 2000
    assert watch.seconds == 90
    watch.reset()
    assert watch.seconds == 0


def test_a_list_of_submissions_that_is_none_is_refused():
    from HeadCTFindingsLib.core.errors import NotReadable

    with pytest.raises(NotReadable):
        readings([{"submission": {}}], "anna")


def test_every_error_has_words():
    assert sentence(ServerError("x", "Bad study.", 422, field="study")) == "Bad study. (study)"
    assert sentence(ValueError()) == "ValueError"
