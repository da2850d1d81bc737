"""Whether the server can work, for people and load balancers, and its measurements, for Prometheus."""

import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from headct_molre import __version__
from lib.health import HEALTH, Status
from lib.instance import headct_app
from lib.metrics import exposition
from lib.principal import is_trusted

router = APIRouter(tags=["Head CT"])

_STARTED = time.monotonic()


class ReasonBody(BaseModel):
    """One thing that is wrong; `blocking` where the server cannot do its work."""

    code: str
    message: str
    blocking: bool


class HealthBody(BaseModel):
    """`ready`, `degraded` (it works, something is amiss), `unavailable`, `starting` or `stopping`; all else for those with a token."""

    status: Status
    reasons: list[ReasonBody] | None = None
    version: str | None = None
    uptime_s: int | None = None


@router.get("/headct/health", summary="Whether the server can work", response_model=HealthBody, responses={503: {"model": HealthBody}})
async def health(request: Request) -> Response:
    """200 when ready or degraded, 503 otherwise, each with the reasons; without a token, where tokens are asked for, only the status."""
    reasons = await HEALTH.reasons(headct_app()) if HEALTH.phase == "running" else []
    status = HEALTH.status(reasons)
    body = HealthBody(status=status)
    if is_trusted(request):
        body = HealthBody(
            status=status,
            reasons=[ReasonBody(code=reason.code, message=reason.message, blocking=reason.blocking) for reason in reasons],
            version=__version__,
            uptime_s=round(time.monotonic() - _STARTED),
        )
    return JSONResponse(body.model_dump(exclude_none=True), 200 if status in ("ready", "degraded") else 503)


@router.get("/headct/metrics", summary="Measurements for Prometheus", response_class=Response)
def metrics() -> Response:
    """Prometheus' text format."""
    content, media_type = exposition()
    return Response(content, media_type=media_type)
