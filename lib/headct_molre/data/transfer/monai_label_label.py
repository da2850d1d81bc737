"""Which of MONAI Label's label files are a reader's calls, and which are something else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ...findings import finding_keys
from ...schema import State, StudyId, Submission
from ..cohort import STATES
from ..cohort.state_cells import UNKNOWN, StateCells
from .importing import imported_submission, why_no_reader
from .monai_label_folder import FolderLabel

CLIENT = "import of a MONAI Label folder"
ORIGINAL = "original"  # MONAI Label's tag for what a model drew, before a reader corrected it
MASKS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm")
LONGEST_LABEL = 1_000_000
_STUDY_ID = TypeAdapter(StudyId)
# Reason, and what the operator is told of it.
REASONS = {
    "segmentation_mask": "segmentation masks, which do not say which of the 75 findings are there",
    "model_prediction": "predictions of a model, which are no readings",
    "not_findings": "label files that are neither a Submission nor {finding: state}",
    "no_reader": "labels that do not say who read; name the reader with --reader",
    "not_a_study_id": "labels and images whose id is no study id (letters, digits, dots, hyphens, underscores); rename the files",
    "other_study": "submissions that are about another study than the image they belong to",
}


def is_study_id(text: str) -> bool:
    """Whether an id of MONAI Label can be a study's."""
    try:
        _STUDY_ID.validate_python(text)
    except ValidationError:
        return False
    return True


def submission_of(label: FolderLabel, reader: str | None) -> Submission | str:
    """The submission that a label file is, or the reason (of `REASONS`) why it is none. Raises OSError.

    The reader is who the index names as client_id, else `reader`.
    """
    if label.path.name.lower().endswith(MASKS):
        return "segmentation_mask"
    if not label.path.name.lower().endswith(".json") or label.path.stat().st_size > LONGEST_LABEL:
        return "not_findings"
    if not is_study_id(label.image_id):
        return "not_a_study_id"
    try:
        document = json.loads(label.path.read_bytes())
    except (ValueError, RecursionError):
        return "not_findings"
    if not isinstance(document, dict):
        return "not_findings"
    if "submission_id" in document:
        return _own(document, label)
    if "prediction" in document or document.get("schema") == "headct.prediction/1" or label.tag == ORIGINAL:
        return "model_prediction"
    findings = _findings(document)
    if findings is None:
        return "not_findings"
    name = label.info.get("client_id") or reader
    if not isinstance(name, str) or why_no_reader(name) is not None:
        return "no_reader"
    return imported_submission(label.image_id, name, findings, _client(label.info))


def _own(document: dict[str, Any], label: FolderLabel) -> Submission | str:
    try:
        submission = Submission.model_validate_json(json.dumps(document))
    except ValidationError:
        return "not_findings"
    if submission.study != label.image_id:
        return "other_study"
    return "no_reader" if why_no_reader(submission.reader) is not None else submission


def _findings(document: dict[str, Any]) -> dict[str, State] | None:
    """The calls of {finding: state}, None where a key is no finding, a value no state, or nothing is said."""
    known = StateCells()
    findings = {}
    for key, value in document.items():
        code = known[_cell(value)]
        if key not in finding_keys() or code == UNKNOWN:
            return None
        if code:
            findings[key] = STATES[code]
    return findings or None  # type: ignore[return-value]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def _client(info: dict[str, Any]) -> str:
    """When MONAI Label saved the label, which is no field of a submission."""
    saved = info.get("ts")
    if type(saved) is not int or not 0 < saved < 2**33:
        return CLIENT
    return f"{CLIENT}; saved {datetime.fromtimestamp(saved, UTC).isoformat()}"
