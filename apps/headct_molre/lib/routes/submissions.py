"""Readers' submissions: MONAI Label's PUT /datastore/label, and the history and labels under /headct/."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from pydantic import ValidationError

from headct_molre.data.store import SubmissionRecord
from headct_molre.errors import InvalidRequest
from headct_molre.schema import Submission
from lib.instance import headct_app, json_object
from lib.principal import reader_of

router = APIRouter()

_MAX_BYTES = 1_000_000  # a submission with every finding and the longest comment has 20 kB


@router.put("/datastore/label", tags=["Datastore"], summary="Store a submission (JSON file)")
def save_label(
    request: Request, image: str, label: Annotated[UploadFile, File()], params: Annotated[str, Form()] = "{}", tag: str = "final"
) -> dict[str, Any]:
    """{submission_id, study, received_at}, and {image, label} for MONAI Label's clients."""
    if tag not in ("", "final"):
        raise InvalidRequest("unsupported_tag", "Readings are stored under the tag final.", field="tag")
    json_object(params, "params")
    submission = _submission(label.file.read(_MAX_BYTES + 1))
    return _receipt(_stored(request, image, submission)) | {"image": image, "label": image}


@router.post("/headct/submissions", tags=["Head CT"], summary="Store a submission")
def add_submission(request: Request, submission: Submission) -> dict[str, Any]:
    """{submission_id, study, received_at}; a retry is stored once and answered in the same words."""
    return _receipt(_stored(request, submission.study, submission))


@router.get("/headct/studies/{study}/submissions", tags=["Head CT"], summary="All submissions on a study")
def submissions(study: str) -> list[SubmissionRecord]:
    """In the order of their arrival, each with the probabilities that its reader saw."""
    headct_app().datastore().summary(study)
    return headct_app().store.submissions.of(study)


@router.get("/headct/studies/{study}/label", tags=["Head CT"], summary="The label that follows from the submissions")
def label(study: str) -> dict[str, Any]:
    """{study, findings {key: state}}; a finding that nobody assessed is not in it."""
    headct_app().datastore().summary(study)
    return {"study": study, "findings": headct_app().store.submissions.label(study)}


def _stored(request: Request, study: str, submission: Submission) -> SubmissionRecord:
    """The record of a submission, which nobody sends in another's name."""
    reader_of(request, submission.reader)
    return headct_app().datastore().add_submission(study, submission)


def _submission(document: bytes) -> Submission:
    if len(document) > _MAX_BYTES:
        raise InvalidRequest("invalid_submission", "The submission is larger than any submission can be.", field="label")
    try:
        return Submission.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
    if first["type"] == "json_invalid":
        raise InvalidRequest("invalid_json", "The label file is not valid JSON.", field="label")
    field = ".".join(map(str, first["loc"])) or "label"
    raise InvalidRequest("invalid_submission", f"{field}: {first['msg']}", field=field)


def _receipt(record: SubmissionRecord) -> dict[str, Any]:
    submission = record.submission
    return {"submission_id": str(submission.submission_id), "study": submission.study, "received_at": record.received_at}
