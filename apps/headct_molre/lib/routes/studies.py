"""The studies, notes on them, the taxonomy, and which study is next."""

import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Form

from headct_molre import __version__
from headct_molre.errors import NotFound
from headct_molre.findings import findings
from headct_molre.imaging.formats import FORMATS, study_suffix
from lib.instance import headct_app, json_object

router = APIRouter()


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


@router.get("/headct/studies", tags=["Head CT"], summary="All studies")
def studies() -> list[dict[str, Any]]:
    """[{study, submissions: count}], sorted by id."""
    counts = headct_app().store.submissions.counts()
    return [{"study": study, "submissions": counts.get(study, 0)} for study in headct_app().datastore().list_images()]


@router.get("/headct/studies/{study}", tags=["Head CT"], summary="One study")
def study(study: str) -> dict[str, Any]:
    """{study, format, submissions: count}."""
    path = Path(headct_app().datastore().get_image_uri(study))
    kind = "dicom" if path.is_dir() else FORMATS[study_suffix(path.name) or ""]
    return {"study": study, "format": kind, "submissions": len(headct_app().store.submissions.of(study))}


@router.put("/datastore/image/info", tags=["Datastore"], summary="Add notes to a study")
def update_image_info(image: str, info: Annotated[str, Form()] = "{}") -> None:
    """Merges a JSON object into the notes on a study."""
    headct_app().datastore().update_image_info(image, json_object(info, "info"))


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="The study to read next")
def next_study(strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
    """MONAI Label's answer {id, weight, path, strategy}, or {} when every study has been read."""
    app = headct_app()
    if strategy not in app.strategies():
        raise NotFound("unknown_strategy", f"There are the strategies {', '.join(sorted(app.strategies()))}.", field="strategy")
    chosen = app.next_sample({"strategy": strategy})
    if not chosen:
        return {}
    offer = {"ts": int(time.time()), "client_id": str((params or {}).get("client_id", ""))[:128]}
    return chosen | app.datastore().note_offer(chosen["id"], strategy, offer)


@router.post("/train/{model}", tags=["Train"], summary="Fine-tune a model")
def train(model: str) -> dict[str, Any]:
    """No model of this server can be trained."""
    raise NotFound("unknown_trainer", f"There is no trainer for the model {model!r}.", field="model")
