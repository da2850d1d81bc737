"""The contracts refuse what they do not know."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from headct_molre.schema import Submission


def document(**changes):
    base = {
        "schema": "headct.submission/1",
        "submission_id": str(uuid4()),
        "study": "phantom-0001",
        "reader": "reader-1",
        "model": {"name": "demo", "version": "1.0"},
        "findings": {"subdural_hematoma": "present", "midline_shift": "uncertain"},
    }
    return {**base, **changes}


def test_a_submission_survives_the_wire():
    submission = Submission.model_validate(document())
    assert Submission.model_validate_json(submission.model_dump_json(by_alias=True)) == submission


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"findings": {"stroke": "present"}}, "stroke"),
        ({"findings": {"sinusitis": "maybe"}}, "findings.sinusitis"),
        ({"findings": {}}, "findings"),
        ({"study": "../../etc/passwd"}, "study"),
        ({"study": ".hidden"}, "study"),
        ({"submission_id": "7"}, "submission_id"),
        ({"reader": ""}, "reader"),
        ({"seconds_spent": -1}, "seconds_spent"),
        ({"seconds_spent": float("nan")}, "seconds_spent"),
        ({"finding": {}}, "finding"),
    ],
)
def test_bad_submissions_are_refused_with_the_field(change, named):
    with pytest.raises(ValidationError) as refused:
        Submission.model_validate(document(**change))
    error = refused.value.errors()[0]
    assert named in ".".join(str(part) for part in error["loc"]) + error["msg"]
