"""Stored predictions: found by the content of the images and the exact model version, the first one stays."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from store_contents import prediction, sql, submission


def test_the_first_prediction_of_a_version_on_the_same_images_stays(store):
    first = prediction()
    assert store.predictions.get("a" * 64, first.model) is None
    store.predictions.put("a" * 64, first)
    store.predictions.put("a" * 64, prediction(probability=0.75))
    assert store.predictions.get("a" * 64, first.model) == first
    assert store.predictions.get("b" * 64, first.model) is None


@pytest.mark.parametrize("change", [{"name": "other"}, {"version": "2"}, {"weights_sha256": "1" * 64}])
def test_another_model_version_or_weights_are_not_answered_with_this_prediction(store, change):
    first = prediction()
    store.predictions.put("a" * 64, first)
    assert store.predictions.get("a" * 64, first.model.model_copy(update=change)) is None


def test_a_stored_prediction_that_is_no_longer_valid_counts_as_absent_and_is_replaced(store):
    store.predictions.put("a" * 64, prediction())
    store.studies.set_content("study-1", "a" * 64)
    sql(store.database.url, "UPDATE predictions SET document = :document", document=b"{}")
    assert store.predictions.get("a" * 64, prediction().model) is None
    assert store.submissions.add(submission(shown="demo")).shown_probabilities is None
    store.predictions.put("a" * 64, prediction(probability=0.75))
    assert store.predictions.get("a" * 64, prediction().model) == prediction(probability=0.75)


def test_of_simultaneous_predictions_one_stays(store):
    """Both look for a stored one before either stores its own; SQLite lets only one look at a time."""
    both_looked = threading.Barrier(2, timeout=0.5)

    def look(connection, cursor, statement, *_):
        if statement.startswith("SELECT predictions.document"):
            with contextlib.suppress(threading.BrokenBarrierError):
                both_looked.wait()

    event.listen(store.database.engine, "after_cursor_execute", look)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda probability: store.predictions.put("a" * 64, prediction(probability=probability)), [0.25, 0.75]))
    assert sql(store.database.url, "SELECT count(*) FROM predictions") == [(1,)]
    assert store.predictions.get("a" * 64, prediction().model) in (prediction(), prediction(probability=0.75))
