"""POST /infer/{model}: the Prediction of a study in the store, of a session, or of an uploaded file."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from headct_molre.errors import InvalidRequest
from lib.instance import headct_app, json_object
from lib.routes.uploads import save_upload

router = APIRouter(tags=["Infer"])

# Waiting requests wait in the queue of this one thread and hold no other, however many there are.
_DEVICE = ThreadPoolExecutor(1, thread_name_prefix="infer")

# MONAI Label lets `params` replace these, and with them the model and the file that is read.
_RESERVED = {"model", "image", "label", "session", "session_id", "study", "file"}


@router.post("/infer/{model}", summary="Predict the 75 findings of a study")
async def infer(
    model: str,
    image: str = "",
    session_id: str = "",
    output: str = "json",
    series_uid: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """The Prediction as JSON. `output` is json, or all, which means the same because there is no image result.

    `series_uid` picks a DICOM series of the study; without it the rule of docs/imaging.md does.
    """
    if output not in ("", "json", "all"):
        raise InvalidRequest("unsupported_output", "These models answer JSON only: ask for output=json.", field="output")
    reserved = sorted(_RESERVED & json_object(params, "params").keys())
    if reserved:
        raise InvalidRequest("reserved_parameter", f"params cannot set {', '.join(reserved)}.", field=f"params.{reserved[0]}")
    if sum(map(bool, (image, session_id, file))) != 1:
        raise InvalidRequest("ambiguous_study", "Name one study: image, session_id or an uploaded file.", field="image")
    task = headct_app().infer_task(model)
    async with _volume(image, session_id, file) as (path, study):
        asked = path, study, bool(image), series_uid or None
        prediction = await run_in_threadpool(task.stored, *asked)
        if prediction is None:
            prediction = await asyncio.get_running_loop().run_in_executor(_DEVICE, task.predict, *asked)
    return Response(prediction.to_json(), media_type="application/json")


@asynccontextmanager
async def _volume(image: str, session_id: str, file: UploadFile | None) -> AsyncIterator[tuple[Path, str]]:
    """Where the images are and the id under which they are predicted; an uploaded file is removed at the end."""
    if file is None:
        yield await run_in_threadpool(_kept_volume, image, session_id)
        return
    folder = await run_in_threadpool(headct_app().datastore().incoming)
    try:
        yield await run_in_threadpool(save_upload, file, Path(folder.name)), "upload"
    finally:
        await run_in_threadpool(folder.cleanup)


def _kept_volume(image: str, session_id: str) -> tuple[Path, str]:
    if session_id:
        return Path(headct_app().session(session_id).image), session_id
    return Path(headct_app().datastore().get_image_uri(image)), image


@router.get("/headct/models", summary="Models with their cards, and why a model cannot be used")
def models() -> list[dict]:
    """[{name, available, reason, card}]; card is null where there is no trained version."""
    answer = []
    for name, task in headct_app().infer_tasks().items():
        card, error = task.card()
        document = None if card is None else card.model_dump(mode="json", by_alias=True)
        answer.append({"name": name, "available": card is not None, "reason": error and error.message, "card": document})
    return answer
