"""The ASGI application: our routes first, everything else goes to MONAI Label.

How it keeps answering:

- The event loop never runs blocking code. Our handlers are plain functions, which FastAPI runs in its threads.
- MONAI Label's handlers block, so each runs in one of eight threads with a loop of its own (`bridge.ThreadBridge`).
- Volumes go in and out by our own routes, so slow clients hold no thread of the eight for long.
- Inference has one thread for each device, in front of it a bounded queue (`headct_molre.server.queue`). What was predicted
  before is answered from the store without waiting. A request that waits holds no thread, so `/info/` answers while many wait.
- Batch inference has a thread and processes of its own and gives way to readers (`batch.BatchInference`).
- At SIGTERM, what waits is handed back and what runs may end, while the server still answers (`stopping.GracefulStop`).
- One server process. The store takes several processes; MONAI Label's task list and sessions do not.

MONAI Label's application is not changed on disk: it gets our error handlers before its first request, `gate.Gate`
stands before both, and unsafe routes end there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from monailabel.app import app as monailabel_app
from starlette.concurrency import run_in_threadpool

from headct_molre import __version__
from headct_molre.server.config import server_config
from lib.bridge import ThreadBridge
from lib.errors import install_error_handlers
from lib.gate import Gate
from lib.instance import headct_app
from lib.routes import inference, jobs, studies, submissions, uploads
from lib.stopping import GracefulStop


def make_app() -> Gate:
    """The application; MONAI Label and our app inside it start and end with it."""
    bridge = ThreadBridge(monailabel_app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with monailabel_app.router.lifespan_context(monailabel_app):
            running = headct_app()
            await run_in_threadpool(running.batch.begin)
            stop = GracefulStop(running.queue, running.batch, server_config().stop_s)
            with stop.on_signals():
                yield
            await stop.finished()
        bridge.close()

    # No pages of documentation: FastAPI's load scripts from another web site.
    app = FastAPI(
        title="Head CT MoLRE",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/headct/openapi.json",
    )
    install_error_handlers(app)
    install_error_handlers(monailabel_app)
    # Its only middleware opens the server to the scripts of every web site; the setting that restricts it stops its start.
    monailabel_app.user_middleware.clear()
    for routes in (inference, jobs, studies, submissions, uploads):
        app.include_router(routes.router)
    app.mount("/", bridge)
    return Gate(app)


app = make_app()
