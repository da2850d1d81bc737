"""An open store, once for each kind of database."""

import pytest

from headct_molre.data.store import StudyStore


@pytest.fixture
def store(store_url):
    """A store in each kind of database; the URL is `store.database.url`."""
    store = StudyStore(store_url)
    yield store
    store.close()
