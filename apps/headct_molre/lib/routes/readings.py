"""Many readers: the next study, leases, skips, reopened studies, double reading, and how far readers agree."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import AwareDatetime, Field

from headct_molre.data.store import OpenedStudy, ReadingEvent, ReadingOfMine, ReadingState
from headct_molre.errors import InvalidRequest, NotFound
from headct_molre.evaluation.agreement import FindingAgreement, agreement
from headct_molre.findings import finding_keys
from headct_molre.schema import Contract, StudyId
from headct_molre.server.config import server_config
from lib.instance import headct_app
from lib.principal import principal_of, reader_of

router = APIRouter()


class Reason(Contract):
    """Why a study is skipped or reopened. `reader` is needed where the server has no authentication."""

    reason: str
    reader: str = ""


class ReadersRequired(Contract):
    """How many readers studies need; `studies` null stands for all that there are now."""

    readers: int
    studies: Annotated[list[StudyId], Field(max_length=10_000)] | None
    reader: str = ""


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="The study to read next")
def next_study(request: Request, strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
    """MONAI Label's answer {id, weight, path, strategy} with the lease {taken_at, expires_at}, random and why; {} when none is left.

    `client_id` in the body is the reader where the server has no authentication; `another` true asks for another study than the open one;
    `model` ranks the studies, the first served one if not given. `random`: the study was drawn with no regard to any score.
    """
    app, asked = headct_app(), params or {}
    if strategy not in app.strategies():
        raise NotFound("unknown_strategy", f"There are the strategies {', '.join(sorted(app.strategies()))}.", field="strategy")
    client, another = asked.get("client_id") or "", asked.get("another", False)
    if not isinstance(client, str):
        raise InvalidRequest("invalid_reader", "client_id is the name of the reader, a text.", field="client_id")
    if not isinstance(another, bool):
        raise InvalidRequest("invalid_request", "another is true or false.", field="another")
    # MONAI Label's clients send a client_id of their own making, which a token overrules.
    reader = reader_of(request, client if principal_of(request) is None else None)
    model = asked.get("model") or app.default_model()
    if not isinstance(model, str):
        raise InvalidRequest("invalid_request", "model is the name of a served model.", field="model")
    app.infer_task(model)  # there is such a model
    chosen = app.next_sample({"strategy": strategy, "reader": reader, "another": another, "model": model})
    if not chosen:
        return {}
    notes = app.datastore().get_image_info(chosen["id"])
    return notes | chosen | {"strategy": {strategy: {"ts": int(time.time()), "client_id": reader}}}


@router.put("/headct/studies/{study}/lease", tags=["Readers"], summary="Open a study, or keep it open")
def take_lease(request: Request, study: str, reader: str = "") -> OpenedStudy:
    """The lease, and who else has the study open; it forbids nothing to anybody. Renew it before it expires."""
    who = reader_of(request, reader)
    headct_app().datastore().summary(study)
    return headct_app().store.readings.lease(study, who, server_config().lease_s)


@router.delete("/headct/studies/{study}/lease", tags=["Readers"], summary="Close a study without reading it")
def release_lease(request: Request, study: str, reader: str = "") -> dict[str, bool]:
    """{released}: false where the reader had no live lease."""
    who = reader_of(request, reader)
    headct_app().datastore().summary(study)
    return {"released": headct_app().store.readings.release(study, who)}


@router.post("/headct/studies/{study}/skip", tags=["Readers"], summary="Not to be offered a study again")
def skip(request: Request, study: str, asked: Reason) -> ReadingState:
    """Until the study is reopened; other readers are still offered it, and see the reason."""
    who = reader_of(request, asked.reader)
    headct_app().datastore().summary(study)
    headct_app().store.readings.skip(study, who, asked.reason)
    return headct_app().store.readings.state(study)


@router.post("/headct/studies/{study}/reopen", tags=["Readers"], summary="Have a study read again")
def reopen(request: Request, study: str, asked: Reason) -> ReadingState:
    """It is offered to everybody again. Its submissions stay, and count for its label."""
    who = reader_of(request, asked.reader)
    headct_app().datastore().summary(study)
    return headct_app().store.readings.reopen(study, who, asked.reason)


@router.put("/headct/readers-required", tags=["Readers"], summary="How many readers studies need")
def readers_required(request: Request, asked: ReadersRequired) -> dict[str, int]:
    """{changed}: the number of studies that needed another number before."""
    who = reader_of(request, asked.reader)
    return {"changed": headct_app().store.readings.require(asked.studies, asked.readers, who)}


@router.get("/headct/studies/{study}/history", tags=["Readers"], summary="What happened to a study")
def history(study: str) -> list[ReadingEvent]:
    """In order of time: who submitted, skipped, reopened, with reasons; without calls and comments, which would bias a second reader."""
    headct_app().datastore().summary(study)
    return headct_app().store.readings.history(study)


@router.get("/headct/readings", tags=["Readers"], summary="What I have open, skipped or read")
def my_readings(
    request: Request,
    reader: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> list[ReadingOfMine]:
    """One entry for each study, newest first."""
    return headct_app().store.readings.mine(reader_of(request, reader), limit, offset)


@router.get("/headct/agreement", tags=["Readers"], summary="How far readers agree on each finding")
def readers_agreement(finding: str | None = None, since: AwareDatetime | None = None) -> list[FindingAgreement]:
    """Raw agreement, Cohen's and Fleiss' kappa over the studies that two or more have read, since a time; null with the reason else."""
    if finding is not None and finding not in finding_keys():
        raise NotFound("unknown_finding", "There is no such finding; /headct/findings lists the keys.", field="finding")
    readings = headct_app().store.readings.by_several(since)
    return agreement(readings, None if finding is None else [finding])
