"""GET /headct/studies/{study}/heatmap: where the served version of a model looked for a finding."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from lib.heatmaps import Format
from lib.infers.headct import Images
from lib.instance import headct_app
from lib.principal import whose_turn
from lib.routes.inference import CLIENT_LEFT, predicted, unless_gone

router = APIRouter(tags=["Infer"])


@router.get("/headct/studies/{study}/heatmap", summary="Where a model looked for a finding", response_class=Response)
async def heatmap(request: Request, study: str, finding: str, model: str = "", series_uid: str = "", output: Format = "nifti") -> Response:
    """Over the study's own grid, 0 to 1: `output` nifti is a .nii.gz file, nrrd is like the study's `volume`, what it says as comments.

    `model` is the first that is served unless it is named. Where a prediction is not there yet it is made first. A map is computed
    anew each time, on the queue, where the header X-Request-ID names it. See docs/heatmaps.md.
    """
    app = headct_app()
    task = app.infer_task(model or app.default_model())
    await run_in_threadpool(app.heat_maps.check, task.name, finding)
    path = Path(await run_in_threadpool(app.datastore().get_image_uri, study))
    images = Images(path, study, listed=True, series_uid=series_uid or None)
    prediction = await predicted(request, task, images)
    if prediction is None:
        return Response(status_code=CLIENT_LEFT)
    content = await run_in_threadpool(task.content, images)
    asked = {"request_id": request.state.request_id, "reader": whose_turn(request)}
    waiting = await run_in_threadpool(lambda: app.heat_maps.submit(images, content, prediction, finding, **asked))
    heat_map = await unless_gone(request, waiting)
    if heat_map is None:
        return Response(status_code=CLIENT_LEFT)
    file = await run_in_threadpool(app.heat_maps.file, heat_map, images, output)
    return Response(file, media_type="application/gzip" if output == "nifti" else "application/octet-stream")
