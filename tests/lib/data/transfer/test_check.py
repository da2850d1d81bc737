"""The check of a store finds what is wrong, and repairs what is derived."""

import pytest
from sqlalchemy import text

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.data.transfer import check_store
from stored import fill, submission


@pytest.fixture
def store(store_url):
    store = StudyStore(store_url)
    fill(store, 12)
    yield store
    store.close()


def change(store, *statements):
    """What no server does: past the triggers, as a hand in the database might."""
    with store.database.writing() as connection:
        if store.database.is_sqlite:
            for action in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER submissions_no_{action}"))
        else:
            connection.execute(text("ALTER TABLE submissions DISABLE TRIGGER submissions_append_only"))
        for statement in statements:
            connection.execute(text(statement))


def found(report):
    return {each.code: each.count for each in report.found}


def test_a_store_that_servers_wrote_is_consistent(store):
    report = check_store(store.database)
    assert (report.consistent, report.found) == (True, [])
    assert report.counts["submissions"] == 17


def test_a_restored_store_too(store, tmp_path):
    from headct_molre.data.transfer import back_up, restore

    url = sqlite_url(tmp_path / "restored.sqlite")
    back_up(store.database.url.render_as_string(hide_password=False), tmp_path / "one.zip")
    restore(tmp_path / "one.zip", url)
    restored = StudyStore(url)
    assert check_store(restored.database).found == []
    restored.close()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("submissions = submissions + 1", 2),
        ("readings = 0", 2),
        ("is_open = true", 2),
        ("readers_required = 2", 1),  # the other study has two readers
    ],
)
def test_wrong_counters_are_found_and_repaired(store, values, expected):
    with store.database.writing() as connection:
        before = connection.execute(text("SELECT submissions, readings FROM studies ORDER BY study")).all()
        connection.execute(text(f"UPDATE studies SET {values} WHERE study IN ('study-1', 'study-3')"))
    assert found(check_store(store.database)) == {"wrong_counters": expected}
    repaired = check_store(store.database, repair=True)
    assert (repaired.consistent, repaired.repaired) == (True, expected)
    with store.database.reading() as connection:
        assert connection.execute(text("SELECT submissions, readings FROM studies ORDER BY study")).all() == before


def test_readings_before_a_study_was_reopened_do_not_count(store):
    statement = "UPDATE studies SET readings = 0, is_open = true, reopened_after = (SELECT max(sequence) FROM submissions)"
    with store.database.writing() as connection:
        connection.execute(text(statement))
    assert check_store(store.database).consistent
    store.submissions.add(submission("study-1", "anna"))
    assert check_store(store.database).consistent


def test_more_wrong_studies_than_one_transaction_takes_are_repaired(tmp_path):
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    store.submissions.add_many((submission(f"s{i}"), None) for i in range(1300))
    with store.database.writing() as connection:
        connection.execute(text("UPDATE studies SET readings = 7"))
        connection.execute(text("DELETE FROM studies WHERE study LIKE 's1%'"))
    report = check_store(store.database, repair=True)
    assert (report.consistent, report.repaired) == (True, 1300)
    store.close()


EVENT = "'a', 'skipped', '', '2026-01-01 00:00:00'"
DAMAGE = {
    "damaged_submissions": "UPDATE submissions SET document = '{}' WHERE sequence = 3",
    "contradicting_submissions": "UPDATE submissions SET reader = 'eve' WHERE sequence = 1",
    "damaged_shown": "UPDATE submissions SET shown_probabilities = '{\"hydrocephalus\": 2}' WHERE sequence = 1",
    "unregistered_studies": "DELETE FROM studies WHERE study = 'elsewhere'",
    "damaged_patients": "UPDATE studies SET patient_key = 'x' WHERE study = 'study-1'",
    "orphan_leases": "UPDATE leases SET study = 'nowhere'",
    "orphan_reading_events": f"INSERT INTO reading_events (study, reader, kind, reason, at) VALUES ('x', {EVENT})",
}


@pytest.mark.parametrize("code", DAMAGE)
def test_each_kind_of_damage_is_found(store, code):
    change(store, DAMAGE[code])
    report = check_store(store.database)
    assert found(report)[code] == 1
    assert not report.consistent


def test_predictions_that_do_not_parse_are_counted_and_harmless(store):
    change(store, f"DELETE FROM predictions WHERE content_sha256 = '{0:064x}'")
    report = check_store(store.database)
    assert found(report) == {"unguarded_tables": 1, "lone_summaries": 1}
    assert [each.code for each in report.found if each.harmless] == ["lone_summaries"]
    with store.database.writing() as connection:
        connection.execute(text(f"DELETE FROM summaries WHERE content_sha256 = '{0:064x}'"))
    damaged = "'x'::bytea" if not store.database.is_sqlite else "X'00'"
    with store.database.writing() as connection:
        connection.execute(text(f"UPDATE predictions SET document = {damaged}"))
    report = check_store(store.database)
    assert found(report) == {"unguarded_tables": 1, "unusable_predictions": 5}
    assert [each.code for each in report.found if each.harmless] == ["unusable_predictions"]
    assert found(check_store(store.database, predictions=False)) == {"unguarded_tables": 1}


def test_events_of_all_studies_are_no_orphans(store):
    with store.database.writing() as connection:
        values = "('*', 'a', 'readers_required', '', '2026-01-01 00:00:00')"
        connection.execute(text(f"INSERT INTO reading_events (study, reader, kind, reason, at) VALUES {values}"))
    assert check_store(store.database).consistent


def test_images_are_looked_for_where_asked(store, tmp_path):
    for i in range(12):
        (tmp_path / f"ward {i}").mkdir()
        (tmp_path / f"ward {i}" / f"study-{i}.nii.gz").write_bytes(b"scan")
    assert check_store(store.database, studies=tmp_path).consistent  # study-2 is noted as absent
    (tmp_path / "ward 5" / "study-5.nii.gz").unlink()
    with store.database.writing() as connection:
        connection.execute(text("UPDATE studies SET path = '../../etc' WHERE study = 'study-6'"))
    assert found(check_store(store.database, studies=tmp_path)) == {"missing_images": 1, "outside_images": 1}
    assert check_store(store.database).consistent


def test_another_schema_and_foreign_tables_are_named(store):
    with store.database.writing() as connection:
        connection.execute(text("CREATE TABLE guests (name TEXT)"))
    report = check_store(store.database)
    assert (found(report), report.consistent) == ({"foreign_tables": 1}, True)
    with store.database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    report = check_store(store.database, repair=True)
    assert (found(report), report.consistent, report.counts) == ({"other_schema": 1}, False, {})


def test_a_damaged_file_is_found(tmp_path):
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    store.submissions.add_many((submission(f"s{i}", comment="x" * 500), None) for i in range(300))
    with store.database.reading() as connection:
        page = connection.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_submissions_study'")).scalar_one()
        size = connection.execute(text("PRAGMA page_size")).scalar_one()
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    store.close()
    with (tmp_path / "store.sqlite").open("r+b") as file:
        file.seek((page - 1) * size + size // 2)
        file.write(b"\xff" * 400)
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    report = check_store(store.database)
    assert [each.code for each in report.found] == ["damaged_database"]
    assert not report.consistent
    store.close()
