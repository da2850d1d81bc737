"""The versions of a model, what the gate said of them, and which one is served."""

import base64
import hashlib
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field, ValidationError

from headct_molre.errors import HeadCTError, NotFound
from headct_molre.evaluation.report import page_script
from headct_molre.models.history import Event
from headct_molre.models.version_diff import VersionDiff
from headct_molre.models.versions import (
    VersionEntry,
    diff_versions,
    find_version,
    gate_folder,
    list_versions,
    promote,
    rollback,
    version_history,
)
from headct_molre.schema import Contract
from headct_molre.training.gate import GateReport
from headct_molre.training.gate.report import HTML_FILE, JSON_FILE
from lib.instance import headct_app
from lib.metrics import VERSION_CHANGES
from lib.principal import principal_of, reader_of, whose_turn

router = APIRouter(prefix="/headct/models/{model}", tags=["Head CT"])


Text = Annotated[str, Field(max_length=2000)]


class Promotion(Contract):
    """Which version is to be served, the candidate where none is named; `against` is the champion that the caller saw.

    `reason` is needed where the gate did not say promote. `reader` names the person where the server has no authentication.
    """

    version: str | None = None
    reason: Text = ""
    against: str | None = None
    reader: str = ""


class Rollback(Contract):
    """Why the version before is to be served again, and where the server has no authentication, who says so."""

    reason: Text = ""
    reader: str = ""


@router.get("/versions", summary="The versions of a model, the newest first")
def versions(model: str) -> list[VersionEntry]:
    """Which is champion, which is candidate, and what the gate said of each against the champion."""
    headct_app().infer_task(model)
    return list_versions(model)


@router.get("/history", summary="Who served which version, and when")
def history(model: str) -> list[Event]:
    """Promotions and rollbacks with their reasons, the oldest first."""
    headct_app().infer_task(model)
    return version_history(model)


@router.get("/versions/{version}/gate", summary="The gate's report on a version")
def gate(model: str, version: str) -> GateReport:
    """`headct.gate/1`: outcome, reasons, differences and what cannot be judged (docs/promotion.md)."""
    path = _report(model, version, JSON_FILE)
    try:
        return GateReport.model_validate_json(path.read_bytes())
    except ValidationError:
        raise HeadCTError("damaged_report", f"The gate's report on {version} cannot be read. Train again.", status=409) from None


@router.get("/versions/{version}/gate.html", summary="The gate's report as a page", response_class=Response)
def gate_page(model: str, version: str) -> Response:
    """One page that needs nothing else; its browser runs no script but the page's own, and fetches nothing."""
    content = _report(model, version, HTML_FILE).read_bytes()
    return HTMLResponse(content, headers={"content-security-policy": _POLICY})


@router.get("/diff", summary="What differs between two versions")
def diff(model: str, before: str, after: str) -> VersionDiff:
    """Settings, cohort, calls and metrics; only the gate compares how good they are."""
    headct_app().infer_task(model)
    return diff_versions(model, before, after)


@router.post("/promote", summary="Serve a version")
def promote_version(request: Request, model: str, asked: Promotion | None = None) -> Event:
    """From the next request on; the present one can be had back by a rollback. 409 `champion_changed`, 422 `reason_needed`."""
    headct_app().infer_task(model)
    wanted = asked or Promotion()
    event = promote(model, _who(request, wanted.reader), wanted.version, wanted.reason, wanted.against)
    VERSION_CHANGES.labels(model, event.action).inc()
    return event


@router.post("/rollback", summary="Serve the version before")
def rollback_version(request: Request, model: str, asked: Rollback | None = None) -> Event:
    """From the next request on. 404 `no_previous_version` where there was none."""
    headct_app().infer_task(model)
    wanted = asked or Rollback()
    event = rollback(model, _who(request, wanted.reader), wanted.reason)
    VERSION_CHANGES.labels(model, event.action).inc()
    return event


def _who(request: Request, named: str) -> str:
    """The reader of the token, the one who is named without authentication, or the machine that asks."""
    return reader_of(request, named) if named or principal_of(request) else whose_turn(request) or "unknown"


def _report(model: str, version: str, name: str) -> Path:
    headct_app().infer_task(model)
    find_version(model, version)
    path = gate_folder(model, version) / name
    if not path.is_file():
        raise NotFound("not_judged", f"The gate has not judged {version}: it came with the software, or another way.", field="version")
    return path


def _policy() -> str:
    """Whatever a report that came with an imported version holds: only the script that we ship runs, and nothing is fetched or sent."""
    own = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{own}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox allow-scripts"
    )


_POLICY = _policy()
