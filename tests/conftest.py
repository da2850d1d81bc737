"""Databases for all tests: SQLite, and PostgreSQL where the system has it."""

import pytest

from postgres_server import PostgresServer, why_not

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres():
    """One server for the whole run, started when it is first needed. Do not stop it: a test of faults has its own."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=DATABASES)
def store_url(request, tmp_path):
    """The URL of a new empty database, once for each kind of database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    server = request.getfixturevalue("postgres")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)
