"""What clients send about studies, checked before anything touches the disk or the store."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headct_molre.data.store.patients import checked_patient
from headct_molre.errors import InvalidRequest
from headct_molre.findings import finding_keys
from headct_molre.imaging import formats
from headct_molre.schema import StudyId

LABEL_TAGS = ("final", "original")
_STUDY_ID = TypeAdapter(StudyId)


def checked_study(study: str) -> str:
    """The id, when it is one: no separators, no leading dot. Raises InvalidRequest `invalid_study`."""
    try:
        return _STUDY_ID.validate_python(study)
    except ValidationError:
        message = "A study id has 1 to 128 letters, digits, dots, hyphens and underscores, and starts with a letter or digit."
        raise InvalidRequest("invalid_study", message, field="study") from None


def checked_info(info: Any) -> dict[str, Any]:
    """A client's notes on a study. Raises InvalidRequest for what would break a list or a strategy later."""
    try:
        if not isinstance(info, dict) or "strategy" in info or len(json.dumps(info, allow_nan=False)) > 10_000:
            raise ValueError
        json.dumps(info, ensure_ascii=False).encode()
    except ValueError:
        message = "Notes are a JSON object of finite values with at most 10,000 characters; strategy is the server's."
        raise InvalidRequest("invalid_info", message, field="info") from None
    if "patient" in info:
        checked_patient(info["patient"])
    return info


def checked_tag(tag: str | None) -> str:
    """A label tag; none means the readers' label. Raises InvalidRequest `unsupported_tag`."""
    if tag not in ("", None, *LABEL_TAGS):
        message = "There are the tags final (the label that follows from the submissions) and original (the model's prediction)."
        raise InvalidRequest("unsupported_tag", message, field="tag")
    return tag or "final"


def checked_findings(labels: list[str] | None) -> set[str]:
    """Keys of findings. Raises InvalidRequest `unknown_finding`."""
    unknown = sorted(set(labels or ()) - set(finding_keys()))
    if unknown:
        raise InvalidRequest("unknown_finding", f"{unknown[0]!r} is no finding; /headct/findings lists them.", field="labels")
    return set(labels or ())


def study_suffix(file_name: str) -> str:
    """The suffix of a file that is a study. Raises InvalidRequest `unsupported_format`."""
    suffix = formats.study_suffix(file_name)
    if suffix is None:
        raise InvalidRequest("unsupported_format", f"A study is one file ({', '.join(formats.STUDY_SUFFIXES)}). Send that.", field="file")
    return suffix
