"""`headct-molre token`: the store is the server's, the token is shown once, and what does not go is refused in one line."""

import json

import pytest

from headct_molre.cli import main
from headct_molre.data.store import StudyStore


@pytest.fixture
def studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    return tmp_path / "studies"


def token(*arguments):
    return main(["token", *map(str, arguments)])


def records(url):
    store = StudyStore(url)
    try:
        return store.tokens.records()
    finally:
        store.close()


def verified(url, secret):
    store = StudyStore(url)
    try:
        return store.tokens.verify(secret)
    finally:
        store.close()


def test_the_token_alone_is_on_standard_output(studies, capsys):
    assert token("create", "--studies", studies, "--reader", "anna", "--role", "reader", "--days", "30") == 0
    said = capsys.readouterr()
    url = f"sqlite:///{studies / '.headct' / 'store.sqlite'}"
    record = verified(url, said.out.strip())
    assert (record.reader, record.role) == ("anna", "reader")
    assert 29.9 < (record.expires_at - record.created_at).total_seconds() / 86_400 < 30.1
    assert said.out.strip() not in said.err
    assert record.token_id in said.err


def test_as_json_it_is_whole(studies, capsys):
    token("create", "--reader", "anna", "--role", "admin", "--json")  # the folder `studies` here, as serve has it
    made = json.loads(capsys.readouterr().out)
    assert made.keys() == {"token_id", "reader", "role", "expires_at", "token"}
    assert made["expires_at"] is None
    assert verified(f"sqlite:///{studies / '.headct' / 'store.sqlite'}", made["token"]).role == "admin"


def test_the_list_shows_states_and_never_a_token(studies, capsys):
    token("create", "--reader", "anna", "--role", "reader")
    token("create", "--reader", "bob", "--role", "trainer", "--json")
    first, second = capsys.readouterr().out.splitlines()
    made = json.loads(second)
    assert token("revoke", made["token_id"]) == 0
    capsys.readouterr()
    assert token("list") == 0
    table = capsys.readouterr().out
    assert [line.split()[1] for line in table.splitlines()[1:]] == ["active", "revoked"]
    assert token("list", "--json") == 0
    listed = capsys.readouterr().out
    assert [entry["reader"] for entry in json.loads(listed)] == ["anna", "bob"]
    for secret in (first.rpartition("_")[2], made["token"].rpartition("_")[2]):
        assert secret not in table + listed


def test_the_store_is_found_by_url_by_file_and_by_environment(studies, tmp_path, capsys, monkeypatch):
    urls = {name: f"sqlite:///{tmp_path / name}" for name in ("by-flag", "by-file", "by-environment")}
    create = ("create", "--reader", "anna", "--role", "reader")
    (tmp_path / "server.toml").write_text(f'store = "{urls["by-file"]}"\nauth = "tokens"\nhost = "0.0.0.0"\n')
    assert token(*create, "--config", tmp_path / "server.toml") == 0
    assert token(*create, "--config", tmp_path / "server.toml", "--store", urls["by-flag"]) == 0
    monkeypatch.setenv("HEADCT_MOLRE_SERVER_STORE", urls["by-environment"])
    assert token(*create) == 0
    assert {name: len(records(url)) for name, url in urls.items()} == {"by-flag": 1, "by-file": 1, "by-environment": 1}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "--reader", "", "--role", "reader"], "invalid_reader"),
        (["create", "--reader", "a\nb", "--role", "reader"], "invalid_reader"),
        (["create", "--reader", "anna", "--role", "reader", "--days", "0"], "invalid_argument"),
        (["create", "--reader", "anna", "--role", "reader", "--days", "3651"], "invalid_argument"),
        (["create", "--reader", "anna", "--role", "reader", "--studies", "mistyped"], "no_studies_folder"),
        (["create", "--reader", "anna", "--role", "reader", "--store", "mysql://host/db"], "invalid_store_url"),
        (["create", "--reader", "anna", "--role", "reader", "--config", "none.toml"], "invalid_setting"),
        (["revoke", "000000000000"], "unknown_token"),
        (["list", "--studies", "mistyped"], "no_studies_folder"),
    ],
)
def test_what_does_not_go_is_refused_in_one_line(studies, capsys, arguments, code):
    assert token(*arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"[{code}]" in said.err
    assert not (studies.parent / "mistyped").exists()


def test_an_unknown_role_is_refused(studies, capsys):
    with pytest.raises(SystemExit) as ended:
        token("create", "--reader", "anna", "--role", "root")
    assert ended.value.code == 2
