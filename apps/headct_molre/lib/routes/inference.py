"""POST /infer/{model}: the Prediction of a study in the store, of a session, or of an uploaded file."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from headct_molre.errors import InvalidRequest, NotFound
from headct_molre.schema import Prediction
from lib.infers.headct import HeadCT, Images
from lib.instance import headct_app, json_object
from lib.principal import may_touch_all, whose_turn
from lib.routes.uploads import save_upload

router = APIRouter(tags=["Infer"])
T = TypeVar("T")

# MONAI Label lets `params` replace these, and with them the model and the file that is read.
_RESERVED = {"model", "image", "label", "session", "session_id", "study", "file"}
CLIENT_LEFT = 499  # nobody reads this answer; the log shows it


@router.post("/infer/{model}", summary="Predict the 75 findings of a study")
async def infer(
    request: Request,
    model: str,
    image: str = "",
    session_id: str = "",
    output: str = "json",
    series_uid: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """The Prediction as JSON. `output` is json, or all, which means the same because there is no image result.

    `series_uid` picks a DICOM series of the study; without it the rule of docs/imaging.md does. The header X-Request-ID names the
    request in `/headct/queue`.
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
        prediction = await predicted(request, task, Images(path, study, bool(image), series_uid or None))
    if prediction is None:
        return Response(status_code=CLIENT_LEFT)
    return Response(prediction.to_json(), media_type="application/json")


async def predicted(request: Request, task: HeadCT, images: Images) -> Prediction | None:
    """From the store where it is there, else from the queue, where it waits without a thread; None when the client has left."""
    content = await run_in_threadpool(task.content, images)
    prediction = await run_in_threadpool(task.stored, images, content)
    if prediction is None:
        asked = {"request_id": request.state.request_id, "reader": whose_turn(request)}
        inference = await run_in_threadpool(lambda: task.submit(images, content, **asked))
        prediction = await unless_gone(request, inference)
        if prediction is not None:
            prediction = await run_in_threadpool(task.shown, images, content, prediction)
    return prediction


async def unless_gone(request: Request, inference: Future[T]) -> T | None:
    """Its result; None, and the inference taken back, when the client closes the connection first."""
    result, leaving = asyncio.wrap_future(inference), asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait({result, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return result.result() if result.done() else None
    finally:
        result.cancel()
        leaving.cancel()


async def _disconnect(request: Request) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()


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


@router.get("/headct/queue", summary="What runs and waits on each device")
def queue() -> list[dict[str, Any]]:
    """[{device, running, waiting, expected_wait_s}], requests by their X-Request-ID; see docs/inference.md."""
    return headct_app().queue.status()


@router.delete("/headct/queue/{request_id}", summary="Cancel an inference that waits or runs")
def cancel(request: Request, request_id: str) -> dict[str, Any]:
    """{request_id, cancelled: how many requests had this id}. Readers cancel their own."""
    mine = None if may_touch_all(request) else whose_turn(request)
    cancelled = headct_app().queue.cancel(request_id, mine)
    if not cancelled:
        raise NotFound("unknown_request", "No inference of this id waits or runs; it may have ended.", field="request_id")
    return {"request_id": request_id, "cancelled": cancelled}


@router.get("/headct/models", summary="Models with their cards, and why a model cannot be used")
def models() -> list[dict]:
    """[{name, available, reason, card}]; card is null where there is no trained version."""
    answer = []
    for name, task in headct_app().infer_tasks().items():
        card, error = task.card()
        document = None if card is None else card.model_dump(mode="json", by_alias=True)
        answer.append({"name": name, "available": card is not None, "reason": error and error.message, "card": document})
    return answer
