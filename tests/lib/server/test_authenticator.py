"""What is remembered of a token, and for how long."""

import threading
import time

import pytest

from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError
from headct_molre.server.authenticator import MAX_TOKEN, MOST_REMEMBERED, REMEMBERED_S, Authenticator, by_tokens
from headct_molre.server.principal import Principal, unauthenticated

ANNA = Principal("anna", "reader")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_good_token_is_remembered_for_a_few_seconds():
    clock = Clock()
    authenticator = Authenticator(lambda token: ANNA, clock)
    assert authenticator.remembered("token") is None
    assert authenticator.authenticate("token") == ANNA
    assert authenticator.remembered("token") == ANNA
    assert authenticator.remembered("token2") is None
    clock.now += REMEMBERED_S
    assert authenticator.remembered("token") is None


def test_a_refused_token_is_not_remembered_and_no_token_is_kept():
    def refuse(token):
        raise unauthenticated("no")

    authenticator = Authenticator(refuse)
    with pytest.raises(HeadCTError):
        authenticator.authenticate("the-token")
    assert authenticator.remembered("the-token") is None
    good = Authenticator(lambda token: ANNA)
    good.authenticate("the-token")
    assert "the-token" not in str(vars(good))


@pytest.mark.parametrize("token", ["a" * (MAX_TOKEN + 1), "é"])
def test_an_oversized_or_foreign_token_is_refused_before_it_is_looked_at(token):
    authenticator = Authenticator(lambda token: pytest.fail("looked at"))
    with pytest.raises(HeadCTError) as error:
        authenticator.authenticate(token)
    assert error.value.status == 401


def test_what_is_remembered_stays_small():
    authenticator = Authenticator(lambda token: ANNA)
    for number in range(3 * MOST_REMEMBERED):
        authenticator.authenticate(str(number))
        assert len(authenticator._remembered) <= MOST_REMEMBERED


@pytest.fixture
def store(tmp_path):
    store = StudyStore(f"sqlite:///{tmp_path / 'store.sqlite'}", lock_wait_s=0.2)
    yield store
    store.close()


def test_a_token_of_the_store_gives_its_principal_and_its_use_is_noted(store):
    token_id, token = store.tokens.create("anna", "trainer")
    authenticator = by_tokens(lambda: store.tokens)
    assert authenticator.authenticate(token) == Principal("anna", "trainer", token_id=token_id)
    wait_until(lambda: store.tokens.records()[0].last_used_at is not None)
    store.tokens.revoke(token_id)
    with pytest.raises(HeadCTError) as error:
        authenticator.authenticate(token)
    assert error.value.code == "unauthenticated"
    assert token not in error.value.message


def test_a_store_that_cannot_be_written_still_lets_readers_in(store):
    _, token = store.tokens.create("anna", "reader")
    authenticator = by_tokens(lambda: store.tokens)
    with store.database.writing():
        started = time.monotonic()
        assert authenticator.authenticate(token).reader == "anna"
        assert time.monotonic() - started < 0.2  # it did not wait for the lock
        time.sleep(0.4)  # the note of its use did, and gave up
    authenticator.authenticate(token)
    wait_until(lambda: store.tokens.records()[0].last_used_at is not None)


def test_many_threads_share_one(store):
    made = [store.tokens.create(f"reader {number}", "reader")[1] for number in range(8)]
    authenticator = by_tokens(lambda: store.tokens)
    wrong = []

    def call(number):
        for _ in range(25):
            principal = authenticator.remembered(made[number]) or authenticator.authenticate(made[number])
            if principal.reader != f"reader {number}":
                wrong.append(principal)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def wait_until(true, seconds=5):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
