"""The arrays of open studies say the same as a dictionary would, whatever is put, dropped and hidden in whatever order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headct_molre.selection import LivePool

NAMES = st.sampled_from([f"study-{number}" for number in range(12)])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "drop", "look"]), st.sets(NAMES), st.integers(0, 1000)), max_size=30)


def rows(names, value, featured):
    count = len(names)
    return np.full((count, 2), value, np.float32), np.full((count, 3), value, np.float16), np.full(count, featured)


@given(STEPS)
def test_it_holds_what_was_put_and_shows_what_is_not_hidden(steps):
    pool, expected = LivePool([], *rows([], 0, True)), {}
    for step, names, value in steps:
        if step == "put":
            pool.put(sorted(names), *rows(names, value, value % 2 == 0))
            expected |= dict.fromkeys(names, value)
        elif step == "drop":
            pool.drop(names)
            expected = {name: kept for name, kept in expected.items() if name not in names}
        else:
            for with_features in (False, True):
                probabilities, features = pool.visible(names, with_features)
                shown = dict(zip(pool.names, zip(probabilities[:, 1], features[:, 2], strict=True), strict=False))
                wanted = {name: (kept, kept) for name, kept in expected.items() if name not in names and not (with_features and kept % 2)}
                assert shown == wanted
        assert len(pool) == len(expected)
        assert set(pool.names) == expected.keys()
        assert all((name in pool) == (name in expected) for name in names)


def test_what_arrives_one_by_one_is_not_copied_each_time():
    pool, copies, arrays = LivePool([], *rows([], 0, True)), 0, None
    for number in range(1000):
        pool.put([str(number)], *rows(["one"], number, True))
        copies += pool._arrays[0] is not arrays
        arrays = pool._arrays[0]
    assert copies < 15


def test_features_of_another_dimension_count_as_none():
    pool = LivePool(["a"], *rows(["a"], 1, True))
    pool.put(["b"], np.ones((1, 2), np.float32), np.ones((1, 5), np.float16), np.ones(1, bool))
    probabilities, features = pool.visible((), with_features=True)
    assert (pool.names[0], len(probabilities), features.shape) == ("a", 1, (1, 3))
    assert len(pool.visible(())[0]) == 2
