"""What is remembered of a person: nobody has to type a name, and consent is asked once for each server."""

from HeadCTFindingsLib.app.preferences import Preferences
from HeadCTFindingsLib.core.connection import normalised


def preferences():
    kept = {}
    return Preferences(kept.get, kept.__setitem__), kept


def test_the_reader_is_the_computers_user_until_another_name_is_given(monkeypatch):
    monkeypatch.setenv("LOGNAME", "resident7")
    remembered, _kept = preferences()
    assert remembered.reader == "resident7"
    remembered["reader"] = "anna"
    assert remembered.reader == "anna"


def test_consent_is_for_one_server_and_stays():
    remembered, kept = preferences()
    here, there = normalised("127.0.0.1:8000"), normalised("https://ct.hospital.example")
    assert not remembered.consented(here)
    remembered.consent(here)
    again = Preferences(kept.get, kept.__setitem__)
    assert (again.consented(here), again.consented(there)) == (True, False)
