"""Labels derived from submissions."""

import pytest

from headct_molre.data.store import derive_label
from store_contents import MIDLINE_SHIFT, submission


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["present"], "present"),
        (["present", "absent"], "uncertain"),
        (["present", "absent", "absent"], "absent"),
        (["present", "not_assessed", "not_assessed"], "present"),
        (["present", "absent", "uncertain"], "uncertain"),
        (["uncertain", "present", "present"], "present"),
        (["not_assessed"], None),
    ],
)
def test_a_label_is_the_majority_of_the_readers(states, expected):
    readings = [submission(f"reader-{i}", **{MIDLINE_SHIFT: state}) for i, state in enumerate(states)]
    assert derive_label(readings).get(MIDLINE_SHIFT) == expected
