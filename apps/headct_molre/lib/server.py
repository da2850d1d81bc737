"""The ASGI application: our routes first, everything else goes to MONAI Label.

How it keeps answering:

- The event loop never runs blocking code. Our handlers are plain functions, which FastAPI runs in its threads.
- MONAI Label's handlers block, so each runs in one of eight threads with a loop of its own (`bridge.ThreadBridge`).
- Volumes go in and out by our own routes, so slow clients hold no thread of the eight for long.
- Inference has one thread for each device, in front of it a bounded queue (`headct_molre.server.queue`). What was predicted
  before is answered from the store without waiting. A request that waits holds no thread, so `/info/` answers while many wait.
- Batch inference has a thread and processes of its own and gives way to readers (`batch.BatchInference`).
- Training runs in a process of its own with a lower priority, watched by a thread (`learning.training_jobs.TrainingJobs`).
- After a change of the served version, a thread that gives way ranks the studies anew (`headct_molre.server.rescoring`).
- At SIGTERM, what waits is handed back and what runs may end, while the server still answers (`stopping.GracefulStop`).
- One server process. The store takes several processes; MONAI Label's task list and sessions do not.

A request passes, from outside: `access.Access` (its id, its line in the log, an answer whatever happens), `cors.Cors` (other web
sites), `limits.Limits` (bytes, time, how many at once), `gate.Gate` (host names, unsafe routes), `auth.Authentication` (whose token it
is and what its role may), then the routes.
MONAI Label's application is not changed on disk: it gets our error handlers before its first request.
"""

import contextlib
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from headct_molre import __version__
from headct_molre.server.collection import leave_out_what_is_loaded
from headct_molre.server.config import ServerConfig
from headct_molre.server.pseudonym import keep_key
from lib.access import Access
from lib.auth import Authentication, make_authenticator
from lib.bridge import ThreadBridge
from lib.cors import Cors
from lib.errors import ErrorBody, install_error_handlers
from lib.gate import Gate
from lib.health import HEALTH
from lib.instance import headct_app
from lib.limits import Limits
from lib.logs import event
from lib.metrics import watch_queue, watch_store
from lib.monailabel_settings import settle
from lib.routes import auth, health, heatmaps, inference, jobs, models, readings, studies, submissions, training, uploads
from lib.stopping import GracefulStop

CONFIG = settle()

with contextlib.redirect_stdout(io.StringIO()):  # it prints that all web sites are allowed, which is not so here
    from monailabel.app import app as monailabel_app

logger = logging.getLogger("headct_molre.server")


def make_app(config: ServerConfig) -> ASGIApp:
    """The application; MONAI Label and our app inside it start and end with it."""
    bridge = ThreadBridge(monailabel_app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keep_key(config.private_folder / "log.key")
        with contextlib.redirect_stdout(io.StringIO()):
            inner = monailabel_app.router.lifespan_context(monailabel_app)
            await inner.__aenter__()
        try:
            watch_store(headct_app().store)
            for name in config.enabled_routes:
                event(logger, logging.WARNING, "a route that is off by default is on", route=name)
            running = headct_app()
            watch_queue(lambda: running.queue.length)
            await run_in_threadpool(running.batch.begin)
            running.training.begin()
            running.rescoring.begin()
            stop = GracefulStop(running.queue, (running.batch, running.training, running.rescoring), config.stop_s)
            leave_out_what_is_loaded()
            HEALTH.phase = "running"
            event(logger, logging.INFO, "ready", version=__version__, models=",".join(headct_app().infer_tasks()))
            with stop.on_signals():
                yield
            HEALTH.phase = "stopping"
            await stop.finished()
        finally:
            HEALTH.phase = "stopping"
            with contextlib.redirect_stdout(io.StringIO()):
                await inner.__aexit__(None, None, None)
            bridge.close()
            headct_app().datastore().folder.close()
            event(logger, logging.INFO, "stopped")

    # No pages of documentation: FastAPI's load scripts from another web site.
    app = FastAPI(
        title="Head CT MoLRE",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/headct/openapi.json",
        responses={status: {"model": ErrorBody, "description": text} for status, text in _REFUSALS.items()},
    )
    install_error_handlers(app)
    install_error_handlers(monailabel_app)
    # Its only middleware opens the server to the scripts of every web site; `cors.Cors` does that for the named ones.
    monailabel_app.user_middleware.clear()
    for routes in (auth, health, heatmaps, inference, jobs, models, readings, studies, submissions, training, uploads):
        app.include_router(routes.router)
    app.mount("/", bridge)
    app.state.authenticator = make_authenticator(config, lambda: headct_app().store.tokens)
    known = Authentication(app, app.state.authenticator)
    return Access(Cors(Limits(Gate(known, config), config), config.cors_origins))


_REFUSALS: dict[int | str, str] = {"4XX": "Refused, with a reason", "5XX": "Not possible now, or a failure of the server"}

app = make_app(CONFIG)
