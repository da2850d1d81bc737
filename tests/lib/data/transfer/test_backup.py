"""Backup and restore: every row comes back, in either database, from a store that goes on being written to; or nothing does."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.data.store.database import Database
from headct_molre.data.store.migrate import current_revision, head_revision, upgrade
from headct_molre.data.transfer import back_up, restore
from headct_molre.data.transfer.rows import lines, stored_tables
from headct_molre.errors import HeadCTError
from stored import fill, submission


@pytest.fixture
def other_url(tmp_path, request, store_url):
    """An empty database of the other kind."""
    if not store_url.startswith("sqlite"):
        yield sqlite_url(tmp_path / "other.sqlite")
        return
    server = request.getfixturevalue("postgres")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def filled(store_url):
    store = StudyStore(store_url)
    fill(store)
    yield store
    store.close()


def rows(url):
    """All rows of a store, by table; lines tell NULL from a JSON null, and types apart."""
    database = Database(url)
    with database.reading() as connection:
        found = {name: sorted(lines(connection, table)) for name, table in stored_tables(connection).items()}
    database.close()
    return found


def is_empty(url):
    return not any(rows(url).values())


def test_every_row_comes_back_in_the_other_database_and_from_there_again(filled, store_url, other_url, tmp_path):
    manifest = back_up(store_url, tmp_path / "one.zip")
    assert manifest.revision == head_revision()
    assert manifest.rows() == {name: len(lines) for name, lines in rows(store_url).items()}
    assert all(manifest.rows().values())  # something of everything is tested
    restore(tmp_path / "one.zip", other_url)
    assert rows(other_url) == rows(store_url)
    third = sqlite_url(tmp_path / "third.sqlite")
    back_up(other_url, tmp_path / "two.zip")
    restore(tmp_path / "two.zip", third)
    assert rows(third) == rows(store_url)


def test_a_restored_store_goes_on_where_it_stood(filled, store_url, other_url, tmp_path):
    back_up(store_url, tmp_path / "one.zip")
    restore(tmp_path / "one.zip", other_url)
    store = StudyStore(other_url)
    assert store.submissions.of("study-3") == filled.submissions.of("study-3")
    sent = submission("study-3", "ben")
    store.submissions.add(sent)
    assert store.submissions.of("study-3")[-1].submission == sent
    with pytest.raises(DBAPIError, match="append-only"), store.database.writing() as connection:
        connection.execute(text("DELETE FROM submissions"))
    store.close()


def test_a_backup_is_one_moment_of_a_store_that_is_being_written_to(store_url, other_url, tmp_path):
    """Each submission counts in two tables: a backup that read them at two moments would show it."""
    store = StudyStore(store_url)
    fill(store, 10)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            store.submissions.add(submission(f"new-{uuid.uuid4()}", "anna"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        paths = [tmp_path / f"{i}.zip" for i in range(5)]
        for path in paths:
            back_up(store_url, path)
    finally:
        stop.set()
        writer.join()
    store.close()
    counts = []
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            submitted = {json.loads(line)["study"] for line in archive.read("tables/submissions.jsonl").splitlines()}
            known = {json.loads(line)["study"] for line in archive.read("tables/studies.jsonl").splitlines()}
        counts.append(len(submitted))
        assert submitted <= known
        assert {study for study in known if study.startswith("new")} <= submitted
    assert counts[0] < counts[-1]
    restore(paths[-1], other_url)


def test_without_predictions_all_else_comes_back(filled, store_url, other_url, tmp_path):
    assert back_up(store_url, tmp_path / "one.zip", predictions=False).left_out == ["predictions", "summaries"]
    restore(tmp_path / "one.zip", other_url)
    assert rows(other_url) == rows(store_url) | {"predictions": [], "summaries": []}


def test_a_store_of_the_first_release_is_backed_up_as_it_is_and_migrated_when_it_is_restored(tmp_path, other_url):
    old = sqlite_url(tmp_path / "old.sqlite")
    database = Database(old)
    sent = submission()
    with database.writing() as connection:
        upgrade(connection, "0001")
        connection.execute(text("INSERT INTO studies VALUES ('study-1', '2025-01-02 03:04:05.000006', NULL, '{}')"))
        values = {"id": str(sent.submission_id), "document": sent.model_dump_json(by_alias=True)}
        statement = "INSERT INTO submissions VALUES (7, :id, 'study-1', 'anna', '2025-01-02 03:04:05.000006', :document, 'null')"
        connection.execute(text(statement), values)
        connection.execute(text("DROP TABLE alembic_version"))  # that release had none
    assert back_up(old, tmp_path / "old.zip").revision == "0001"
    assert current_revision(database) is None
    database.close()
    restore(tmp_path / "old.zip", other_url)
    store = StudyStore(other_url)
    assert current_revision(store.database) == head_revision()
    assert [record.submission for record in store.submissions.of("study-1")] == [sent]
    assert store.studies.totals() == {"total": 0, "read": 0, "open": 0}
    store.submissions.add(submission())
    assert len(store.submissions.of("study-1")) == 2
    store.close()


def test_nothing_is_overwritten(filled, store_url, tmp_path):
    back_up(store_url, tmp_path / "one.zip")
    before = (tmp_path / "one.zip").read_bytes()
    assert code(back_up, store_url, tmp_path / "one.zip") == "file_exists"
    assert (tmp_path / "one.zip").read_bytes() == before
    stored = rows(store_url)
    assert code(restore, tmp_path / "one.zip", store_url) == "store_not_empty"
    assert rows(store_url) == stored


def test_a_store_that_was_opened_but_is_empty_takes_a_backup(filled, store_url, other_url, tmp_path):
    StudyStore(other_url).close()
    back_up(store_url, tmp_path / "one.zip")
    restore(tmp_path / "one.zip", other_url)
    assert rows(other_url) == rows(store_url)


def test_a_backup_is_for_its_owner_only(filled, store_url, tmp_path):
    """It holds what readers said of patients, and the hashes of tokens."""
    back_up(store_url, tmp_path / "one.zip")
    assert (tmp_path / "one.zip").stat().st_mode & 0o777 == 0o600


def test_a_misspelt_store_is_no_empty_backup(tmp_path):
    assert code(back_up, sqlite_url(tmp_path / "none.sqlite"), tmp_path / "one.zip") == "store_missing"
    assert list(tmp_path.iterdir()) == []


def code(function, *arguments, **options):
    with pytest.raises(HeadCTError) as refused:
        function(*arguments, **options)
    return refused.value.code


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    store = StudyStore(sqlite_url(folder / "store.sqlite"))
    fill(store)
    store.close()
    back_up(sqlite_url(folder / "store.sqlite"), folder / "whole.zip")
    return folder / "whole.zip"


def rewritten(archive, target, change):
    """A copy of an archive whose {name: bytes} went through `change`; hashes in the manifest are not changed with them."""
    with zipfile.ZipFile(archive) as source:
        content = {name: source.read(name) for name in source.namelist()}
    changed = change(content) or content
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in changed.items():
            made.writestr(name, data)
    return target


def test_a_backup_that_was_cut_anywhere_is_refused(archive, tmp_path):
    whole, url = archive.read_bytes(), sqlite_url(tmp_path / "store.sqlite")
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        cut = tmp_path / "cut.zip"
        cut.write_bytes(whole[: int(len(whole) * share)])
        assert code(restore, cut, url) == "archive_damaged"
    assert not (tmp_path / "store.sqlite").exists()


def test_every_flipped_byte_is_found_or_harms_nothing(archive, tmp_path):
    whole, wanted = archive.read_bytes(), rows(sqlite_url(archive.parent / "store.sqlite"))
    refused = 0
    for place in range(7, len(whole), max(1, len(whole) // 60)):
        flipped, url = tmp_path / "flipped.zip", sqlite_url(tmp_path / f"{place}.sqlite")
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
        try:
            restore(flipped, url)
        except HeadCTError as error:
            refused += error.code in ("archive_damaged", "not_a_backup", "unsafe_archive")
        else:
            assert rows(url) == wanted  # a byte of a time stamp inside the zip
    assert refused > 50


def _edit(content, name, change):
    content[name] = change(content[name])


CHANGES = {
    "a row less": (lambda c: _edit(c, "tables/tokens.jsonl", lambda data: b""), "archive_damaged"),
    "an edited row": (lambda c: _edit(c, "tables/tokens.jsonl", lambda data: data.replace(b"admin", b"ADMIN")), "archive_damaged"),
    "a file less": (lambda c: c.pop("tables/tokens.jsonl") and None, "archive_damaged"),
    "no manifest": (lambda c: c.pop("manifest.json") and None, "not_a_backup"),
    "another manifest": (lambda c: _edit(c, "manifest.json", lambda data: b"{}"), "not_a_backup"),
    "an unlisted table": (lambda c: c.update({"tables/more.jsonl": b""}), "archive_damaged"),
    "traversal": (lambda c: c.update({"../evil.jsonl": b""}), "unsafe_archive"),
    "traversal in a table": (lambda c: c.update({"tables/../../evil.jsonl": b""}), "unsafe_archive"),
    "traversal in a model": (lambda c: c.update({"models/../x/model.json": b"{}"}), "unsafe_archive"),
    "an absolute name": (lambda c: c.update({"/etc/evil.json": b""}), "unsafe_archive"),
    "a pickle": (lambda c: c.update({"models/demo/1/weights.pt": b""}), "unsafe_archive"),
    "a bomb": (lambda c: c.update({"tables/bomb.jsonl": b"0" * 200_000_000}), "decompression_bomb"),
    "too many files": (lambda c: c.update({f"models/demo/v{i}/model.json": b"" for i in range(6000)}), "unsafe_archive"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_archive_is_refused_before_anything_is_written(archive, tmp_path, name):
    change, expected = CHANGES[name]
    changed = rewritten(archive, tmp_path / "changed.zip", change)
    assert code(restore, changed, sqlite_url(tmp_path / "store.sqlite"), home=tmp_path / "home") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["changed.zip"]


def listed(content, **members):
    """The manifest brought up to date with what a forger changed."""
    manifest = json.loads(content["manifest.json"])
    for name, data in members.items():
        table = f"tables/{name}.jsonl"
        content[table] = data
        rows = len(data.splitlines())
        manifest["members"][table] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}
    content["manifest.json"] = json.dumps(manifest).encode()


FORGED = {
    "a line that is no JSON": (lambda c: listed(c, tokens=b"{\n"), "archive_damaged"),
    "a line that is no object": (lambda c: listed(c, tokens=b"[]\n"), "archive_damaged"),
    "deeply nested": (lambda c: listed(c, tokens=b"[" * 1_000_000 + b"\n"), "archive_damaged"),
    "another column": (lambda c: listed(c, tokens=c["tables/tokens.jsonl"].replace(b"role", b"rolle")), "archive_damaged"),
    "a number for text": (lambda c: listed(c, tokens=c["tables/tokens.jsonl"].replace(b'"admin"', b"1")), "archive_damaged"),
    "a huge number": (
        lambda c: listed(c, reading_events=c["tables/reading_events.jsonl"].replace(b":2,", b":" + b"9" * 30 + b",")),
        "archive_damaged",
    ),
    "a row twice": (lambda c: listed(c, tokens=c["tables/tokens.jsonl"] * 2), "archive_does_not_fit"),
    "half a surrogate": (lambda c: listed(c, tokens=c["tables/tokens.jsonl"].replace(b"anna", rb"\ud800")), "archive_damaged"),
    "an unknown table": (lambda c: listed(c, sqlite_master=b""), "archive_damaged"),
    "an endless line": (lambda c: listed(c, tokens=os.urandom(9_000_000).hex().encode()), "archive_damaged"),
    "a newer schema": (
        lambda c: _edit(c, "manifest.json", lambda data: re.sub(rb'"revision": ?"\d+"', b'"revision":"9999"', data)),
        "archive_newer",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_archive_leaves_nothing_behind(archive, tmp_path, name):
    change, expected = FORGED[name]
    url = sqlite_url(tmp_path / "store.sqlite")
    assert code(restore, rewritten(archive, tmp_path / "forged.zip", change), url) == expected
    assert is_empty(url)


def test_text_that_postgresql_cannot_hold_is_refused_and_leaves_nothing(archive, tmp_path, postgres):
    name = postgres.create_database()
    forged = rewritten(
        archive, tmp_path / "nul.zip", lambda c: listed(c, tokens=c["tables/tokens.jsonl"].replace(b'"anna"', rb'"an\u0000na"'))
    )
    assert code(restore, forged, postgres.url(name)) == "archive_does_not_fit"
    assert is_empty(postgres.url(name))
    postgres.drop_database(name)


_BACKUP = """
import sys
from pathlib import Path
from headct_molre.data.transfer import back_up, restore
started = lambda _: print("working", flush=True) if not told and told.append(1) is None else None
told = []
if sys.argv[1] == "backup":
    back_up(sys.argv[2], Path(sys.argv[3]), done=started)
else:
    restore(Path(sys.argv[3]), sys.argv[2], done=started)
"""


def killed(*arguments, after_s=0.0):
    """Runs a backup or restore and kills it once it is at work."""
    process = subprocess.Popen([sys.executable, "-c", _BACKUP, *map(str, arguments)], stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(after_s)
    process.kill()
    return process.wait()


@pytest.fixture
def many_rows(store_url):
    """A store that takes long enough to copy to be killed at it."""
    store = StudyStore(store_url)
    fill(store, 5)
    with store.database.writing() as connection:
        values = "(:study, 'ben', 'skipped', 'motion', '2026-01-01 00:00:00')"
        statement = f"INSERT INTO reading_events (study, reader, kind, reason, at) VALUES {values}"
        connection.execute(text(statement), [{"study": f"study-{i}"} for i in range(20_000)])
    store.close()
    return store_url


def test_a_killed_backup_leaves_no_file_under_the_final_name(many_rows, tmp_path):
    assert killed("backup", many_rows, tmp_path / "one.zip") == -signal.SIGKILL
    assert not (tmp_path / "one.zip").exists()
    back_up(many_rows, tmp_path / "one.zip")


def test_a_killed_restore_leaves_an_empty_store_that_takes_the_backup(many_rows, other_url, tmp_path):
    back_up(many_rows, tmp_path / "one.zip")
    for after_s in (0.0, 0.1):
        assert killed("restore", other_url, tmp_path / "one.zip", after_s=after_s) == -signal.SIGKILL
        assert is_empty(other_url)
    restore(tmp_path / "one.zip", other_url)
    assert rows(other_url) == rows(many_rows)


@pytest.fixture
def home(tmp_path):
    """A folder with one trained version, its aliases, and one that is being written."""
    version = tmp_path / "home" / "models" / "demo" / "3.0"
    version.mkdir(parents=True)
    (version / "weights.safetensors").write_bytes(b"weights")
    (version / "model.json").write_text(json.dumps({"weights_sha256": hashlib.sha256(b"weights").hexdigest()}))
    (version / "gate.json").write_text("{}")
    (version.parent / "aliases.json").write_text('{"champion": "3.0", "candidate": null}')
    (version.parent / ".partial-1-3.1").mkdir()
    (version.parent / ".partial-1-3.1" / "model.json").write_text("{")
    return tmp_path / "home"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_model_versions_come_with_it(archive, home, tmp_path):
    store, path = sqlite_url(archive.parent / "store.sqlite"), tmp_path / "models.zip"
    assert len(back_up(store, path, home=home).model_files()) == 4
    restore(path, sqlite_url(tmp_path / "1.sqlite"), home=tmp_path / "new")
    assert files(tmp_path / "new") == {name: data for name, data in files(home).items() if ".partial" not in name}
    restore(path, sqlite_url(tmp_path / "2.sqlite"), home=home)  # they are there already
    restore(path, sqlite_url(tmp_path / "3.sqlite"))
    (home / "models" / "demo" / "aliases.json").write_text('{"champion": null, "candidate": "3.0"}')
    before = files(home)
    assert code(restore, path, sqlite_url(tmp_path / "4.sqlite"), home=home) == "models_exist"
    assert files(home) == before
    assert not (tmp_path / "4.sqlite").exists()


def test_a_version_whose_weights_are_not_those_of_its_card_is_not_backed_up(archive, home, tmp_path):
    (home / "models" / "demo" / "3.0" / "weights.safetensors").write_bytes(b"other")
    assert code(back_up, sqlite_url(archive.parent / "store.sqlite"), tmp_path / "models.zip", home=home) == "damaged_model"
    assert not (tmp_path / "models.zip").exists()


def test_models_are_taken_away_again_where_the_store_cannot_be_restored(archive, home, tmp_path):
    store = sqlite_url(archive.parent / "store.sqlite")
    back_up(store, tmp_path / "models.zip", home=home)
    assert code(restore, tmp_path / "models.zip", store, home=tmp_path / "new") == "store_not_empty"
    assert files(tmp_path / "new") == {}
