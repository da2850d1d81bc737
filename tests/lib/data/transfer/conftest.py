"""An open store in SQLite; what differs between databases has a store of its own."""

import pytest

from headct_molre.data.store import StudyStore, sqlite_url


@pytest.fixture
def store(tmp_path):
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    yield store
    store.close()
