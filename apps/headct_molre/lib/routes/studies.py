"""The studies, notes on them, the taxonomy, and whether the server is well."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response

from headct_molre import __version__
from headct_molre.data.store import StudySummary
from headct_molre.data.store.study_list import StudyFilter
from headct_molre.findings import findings
from headct_molre.schema import Contract
from lib.incoming import volume_file
from lib.instance import headct_app, json_object

router = APIRouter()


class StudyPage(Contract):
    """A part of the list of studies: `total` counts all parts, `next` is the `after` of the next one, null at the end."""

    studies: list[StudySummary]
    total: int
    next: str | None


@router.get("/", tags=["Head CT"], summary="What this server is")
def about() -> dict[str, Any]:
    """{name, version, note, routes}; MONAI Label has a page here whose scripts come from another web site."""
    return {
        "name": "Head CT MoLRE",
        "version": __version__,
        "note": "Research software, not a medical device. A finding that is not flagged is not ruled out.",
        "routes": ["/info/", "/headct/openapi.json", "/headct/health", "/headct/findings", "/headct/models", "/headct/studies"],
    }


@router.get("/headct/findings", tags=["Head CT"], summary="The taxonomy")
def taxonomy() -> list[dict[str, Any]]:
    """The 75 findings in taxonomy order, with names, definitions and viewing presets."""
    return [finding.to_json() for finding in findings()]


@router.get("/headct/studies", tags=["Head CT"], summary="Studies, page by page")
def studies(
    after: Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{0,128}$")] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    state: StudyFilter | None = None,
) -> StudyPage:
    """Sorted by id; `after` is the last id of the page before, `state` keeps those that are open, done, unread, read or absent."""
    listed = headct_app().store.study_list
    page = listed.page(after, limit, state)
    return StudyPage(studies=page, total=listed.count(state), next=page[-1].study if len(page) == limit else None)


@router.post("/headct/studies/scan", tags=["Head CT"], summary="Look through the studies folder now")
def scan(accept_missing: bool = False) -> dict[str, Any]:
    """{total, problems}; `accept_missing` confirms that studies which went away all at once were removed on purpose."""
    datastore = headct_app().datastore()
    datastore.folder.scan(accept_missing)
    problems = [{"code": problem.code, "message": problem.message} for problem in datastore.folder.problems()]
    return {"total": datastore.status()["total"], "problems": problems}


@router.get("/headct/studies/{study}", tags=["Head CT"], summary="One study")
def study(study: str) -> StudySummary:
    """How far its readings are, also where its images went away."""
    return headct_app().datastore().summary(study)


@router.get("/headct/studies/{study}/volume", tags=["Head CT"], summary="The images of a study as one NRRD file", response_class=Response)
def volume(study: str, series_uid: str = "") -> Response:
    """HU with the true geometry, whatever the study's format, DICOM folders included: what a prediction of it would read."""
    path = Path(headct_app().datastore().get_image_uri(study))
    return Response(volume_file(path, series_uid or None), media_type="application/octet-stream")


@router.put("/datastore/image/info", tags=["Datastore"], summary="Add notes to a study")
def update_image_info(image: str, info: Annotated[str, Form()] = "{}") -> None:
    """Merges a JSON object into the notes on a study."""
    headct_app().datastore().update_image_info(image, json_object(info, "info"))
