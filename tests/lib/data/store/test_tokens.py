"""Tokens in each kind of database: shown once, kept as a hash, refused once they have expired or were revoked."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from headct_molre.data.store import StudyStore
from headct_molre.data.store.tables import TOKENS
from headct_molre.errors import InvalidRequest, NotFound


@pytest.fixture
def store(store_url):
    store = StudyStore(store_url)
    yield store
    store.close()


@pytest.fixture
def tokens(store):
    return store.tokens


def stored(store, column):
    with store.database.reading() as connection:
        return connection.execute(select(TOKENS.c[column])).scalar_one()


def test_a_token_says_whose_it_is(tokens):
    token_id, token = tokens.create("anna", "trainer")
    record = tokens.verify(token)
    assert (record.token_id, record.reader, record.role, record.state) == (token_id, "anna", "trainer", "active")
    assert record.expires_at is None
    assert datetime.now(UTC) - record.created_at < timedelta(minutes=1)


def test_only_a_hash_of_256_random_bits_is_kept(store):
    token_id, token = store.tokens.create("anna", "reader")
    prefix, named, secret = token.split("_", 2)
    assert (prefix, named) == ("hct", token_id)
    assert len(secret) * 6 >= 256
    assert stored(store, "secret_sha256") == hashlib.sha256(secret.encode()).hexdigest()
    with store.database.reading() as connection:
        assert secret not in str(connection.execute(text("SELECT * FROM tokens")).all())
    assert secret not in repr(store.tokens.records())


def test_two_tokens_of_a_reader_are_different_and_both_good(tokens):
    made = {tokens.create("anna", "reader")[1] for _ in range(20)}
    assert len(made) == 20
    assert all(tokens.verify(token).reader == "anna" for token in made)


def test_anything_else_is_no_token(tokens):
    token = tokens.create("anna", "reader")[1]
    start, secret = token[:17], token[17:]
    others = [
        start + ("A" if secret[0] != "A" else "B") + secret[1:],
        token[:-1],
        token + "A",
        token + "\n",
        " " + token,
        token.upper(),
        secret,
        f"hct_{'0' * 12}_{secret}",  # another token's id
        f"{start}{'A' * 43}",
        "hct_%_" + secret,
        f"hct_' OR 1=1 --_{secret}",
        token[:-1] + "é",
        "",
    ]
    assert [other for other in others if tokens.verify(other) is not None] == []
    assert tokens.verify(token) is not None


def test_the_secret_of_one_token_is_no_good_for_another(tokens):
    anna, admin = tokens.create("anna", "reader")[1], tokens.create("chief", "admin")[1]
    assert tokens.verify(admin[:17] + anna[17:]) is None


def test_an_expired_token_is_refused_and_stays_listed(store):
    _, token = store.tokens.create("anna", "reader", datetime.now(UTC) + timedelta(days=1))
    assert store.tokens.verify(token).reader == "anna"
    with store.database.writing() as connection:
        connection.execute(update(TOKENS).values(expires_at=datetime.now(UTC).replace(tzinfo=None)))
    assert store.tokens.verify(token) is None
    assert [record.state for record in store.tokens.records()] == ["expired"]


def test_an_expiry_is_kept_whatever_its_time_zone(tokens):
    moment = datetime(2040, 1, 1, 12, tzinfo=UTC)
    tokens.create("anna", "reader", moment.astimezone(datetime.now().astimezone().tzinfo))
    assert tokens.records()[0].expires_at == moment


def test_a_revoked_token_is_refused_and_stays_listed_with_the_first_revocation(tokens):
    token_id, token = tokens.create("anna", "reader")
    first = tokens.revoke(token_id)
    assert first.state == "revoked"
    assert tokens.verify(token) is None
    assert tokens.revoke(token_id) == first
    assert tokens.records() == [first]
    other = tokens.create("anna", "reader")[1]
    assert tokens.verify(other) is not None


def test_an_unknown_token_cannot_be_revoked(tokens):
    with pytest.raises(NotFound) as error:
        tokens.revoke("0" * 12)
    assert error.value.code == "unknown_token"


def test_the_last_use_is_noted_once_a_minute(store):
    token_id, _ = store.tokens.create("anna", "reader")
    assert stored(store, "last_used_at") is None
    store.tokens.note_use(token_id)
    first = stored(store, "last_used_at")
    assert first is not None
    store.tokens.note_use(token_id)
    assert stored(store, "last_used_at") == first
    with store.database.writing() as connection:
        connection.execute(update(TOKENS).values(last_used_at=first - timedelta(seconds=61)))
    store.tokens.note_use(token_id)
    assert stored(store, "last_used_at") >= first


def test_verifying_writes_nothing(store):
    _, token = store.tokens.create("anna", "reader")
    with store.database.writing():  # a write of its own would wait here
        assert store.tokens.verify(token) is not None


def test_what_is_no_readers_name_or_no_role_gets_no_token(tokens):
    for name in ("", " anna", "anna ", "a" * 129, "anna\n", "an\x00na", "anna\u202e"):
        with pytest.raises(InvalidRequest) as error:
            tokens.create(name, "reader")
        assert error.value.code == "invalid_reader"
    for role in ("", "Reader", "root", "admin "):
        with pytest.raises(InvalidRequest) as error:
            tokens.create("anna", role)
        assert error.value.code == "unknown_role"
    assert tokens.records() == []


def test_names_of_128_letters_of_any_script_are_kept_whole(tokens):
    name = "Ångström 読影 " * 10 + "x" * 8
    assert len(name) == 128
    assert tokens.verify(tokens.create(name, "reader")[1]).reader == name
