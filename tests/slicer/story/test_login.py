"""Tokens at the panel: a wrong one, none, one whose day is over, and one that is taken back in the middle of a reading."""

from __future__ import annotations

from collections.abc import Callable

from walk.hospital import SEEN, expire, revoke, token
from walk.radiologist import Radiologist
from walk.server import StoryServer


def log_in(person: Radiologist, secret: str) -> None:
    """Types a token over the one before, and tests the connection."""
    panel = person.panels.connection
    person.bench.ui.connectionSection.collapsed = False
    panel.token.clear()
    person.type(panel.token, secret)
    person.press(panel.test_button)
    person.wait(lambda: person.app.connection.state.phase in ("connected", "failed"), "the answer")


def test_a_token_that_is_not_taken_is_named_with_what_to_do(chair: Callable[..., Radiologist], hospital_server: StoryServer) -> None:
    person = chair(hospital_server.address)
    connection = person.app.connection
    assert (connection.state.phase, connection.state.step) == ("failed", "token")
    assert "asks for a token" in connection.state.problem
    assert "operator" in connection.state.remedy
    assert not person.panels.study.next_button.enabled

    log_in(person, "hct_000000000000_nobody")
    person.picture("wrong_token")
    assert "does not take this token" in connection.state.problem
    old = token(hospital_server, "anna", "reader")
    expire(hospital_server, old)
    log_in(person, old)
    assert "does not take this token" in connection.state.problem
    assert "expired" in connection.state.remedy
    assert old not in person.panels.connection.status_line.text + connection.state.problem

    log_in(person, token(hospital_server, "anna", "reader"))
    assert connection.state.phase == "connected", connection.state
    assert (connection.reader, person.panels.connection.reader.text) == ("anna", "anna")
    assert not person.panels.connection.reader.enabled, "the name is the token's"
    assert person.panels.study.next_button.enabled


def test_calls_wait_for_a_new_token_when_the_old_one_is_taken_back(chair: Callable[..., Radiologist], hospital_server: StoryServer) -> None:
    first = token(hospital_server, "anna", "reader")
    person = chair(hospital_server.address, first)
    person.open(SEEN)
    person.call("sinusitis", "absent")
    revoke(hospital_server, first)
    person.wait(lambda: refused(person), "the end of the old token", seconds=30)
    person.press(person.panels.submit.submit_button)
    person.wait(lambda: any(letter.attempts for letter in person.app.correcting.outbox.waiting()), "the first attempt")
    person.wait(lambda: person.app.connection.state.lost, "that the token is gone")
    person.picture("token_taken_back")
    assert "token" in person.panels.connection.status_line.text
    assert "went away" not in person.panels.connection.status_line.text
    assert person.app.correcting.state.waiting == 1
    assert person.state.study == SEEN, "what is open stays open"

    log_in(person, token(hospital_server, "anna", "reader"))
    person.wait(lambda: person.app.correcting.state.waiting == 0, "the submission")
    (record,) = hospital_server.ask("GET", f"/headct/studies/{SEEN}/submissions")
    assert record["submission"]["findings"] == {"sinusitis": "absent"}

    log_in(person, token(hospital_server, "ben", "reader"))
    assert person.app.connection.reader == "ben"
    assert person.state.study == "", "nobody calls in another's name"


def refused(person: Radiologist) -> bool:
    """Whether the server refuses the token by now: it may remember it for some seconds."""
    from HeadCTFindingsLib.core.errors import ServerError

    try:
        person.app.connection.client.info()
    except ServerError:
        return True
    return False
