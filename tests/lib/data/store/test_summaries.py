"""Summaries follow the predictions, in order of arrival, and cost no document."""

import numpy as np

from store_contents import prediction, sql

MODEL = prediction().model


def contents(block):
    return [content[0] for content in block.contents]


def test_a_summary_has_the_probabilities_and_the_features_in_half_precision(store):
    features = np.linspace(-3, 3, 8, dtype=np.float32)
    store.predictions.put("a" * 64, prediction(probability=0.25), features)
    store.predictions.put("b" * 64, prediction(probability=0.75))
    block = store.summaries.of_version(MODEL)
    assert contents(block) == ["a", "b"]
    assert block.probabilities.tolist() == [[0.25] * 75, [0.75] * 75]
    assert block.featured.tolist() == [True, False]
    np.testing.assert_array_equal(block.features[0], features.astype(np.float16))
    assert [store.summaries.has_features(content * 64, MODEL) for content in "abc"] == [True, False, False]


def test_only_what_arrived_since_is_read(store):
    for content in "ab":
        store.predictions.put(content * 64, prediction(), np.ones(4))
    seen = store.summaries.of_version(MODEL).last
    assert contents(store.summaries.of_version(MODEL, seen)) == []
    store.predictions.put("c" * 64, prediction())
    store.predictions.put("d" * 64, prediction(weights="1" * 64))
    block = store.summaries.of_version(MODEL, seen)
    assert contents(block) == ["c"]
    store.predictions.put("c" * 64, prediction(), np.ones(4))
    store.predictions.put("a" * 64, prediction(), np.zeros(4))
    later = store.summaries.of_version(MODEL, block.last)
    assert contents(later) == ["c"], "features that came later are an arrival; a second prediction of the same images is none"
    assert later.featured.all()
    assert store.summaries.versions("demo") == [("1", "0" * 64, 3), ("1", "1" * 64, 1)]
    assert sorted(contents(store.summaries.of_contents(MODEL, {"a" * 64, "c" * 64, "d" * 64}))) == ["a", "c"]


def test_a_prediction_that_takes_the_place_of_an_unusable_one_takes_its_summary_too(store, store_url):
    store.predictions.put("a" * 64, prediction(probability=0.25), np.ones(4))
    sql(store_url, "UPDATE predictions SET document = :document", document=b"{}")
    store.predictions.put("a" * 64, prediction(probability=0.75), np.ones(4))
    assert store.summaries.of_version(MODEL).probabilities[0, 0] == 0.75


def test_without_predictions_there_is_nothing(store):
    block = store.summaries.of_version(MODEL)
    assert (block.last, block.contents, block.probabilities.shape, block.features.shape) == (0, [], (0, 75), (0, 0))
