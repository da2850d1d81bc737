"""The ASGI application: our routes first, everything else goes to MONAI Label.

How it keeps answering:

- The event loop never runs blocking code. Our handlers are plain functions, which FastAPI runs in its threads.
- MONAI Label's handlers block, so each runs in one of eight threads with a loop of its own (`bridge.ThreadBridge`).
- Volumes go in and out by our own routes, so slow clients hold no thread of the eight for long.
- Inference has one thread for all models, in the order of arrival. What was predicted before is answered from the
  store without waiting for it. A request that waits holds no thread, so `/info/` answers while many wait.
- One server process. The store takes several processes; MONAI Label's task list and sessions do not.

MONAI Label's application is not changed on disk: it gets our error handlers before its first request, `gate.Gate`
stands before both, and unsafe routes end there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from monailabel.app import app as monailabel_app

from headct_molre import __version__
from headct_molre.server.config import server_config
from lib.auth import Authentication, make_authenticator
from lib.bridge import ThreadBridge
from lib.errors import install_error_handlers
from lib.gate import Gate, host_names
from lib.instance import headct_app
from lib.routes import auth, inference, readings, studies, submissions, uploads


def make_app() -> Gate:
    """The application; MONAI Label and our app inside it start and end with it."""
    bridge = ThreadBridge(monailabel_app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with monailabel_app.router.lifespan_context(monailabel_app):
            yield
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
    for routes in (auth, inference, readings, studies, submissions, uploads):
        app.include_router(routes.router)
    app.mount("/", bridge)
    config = server_config()
    app.state.authenticator = make_authenticator(config, lambda: headct_app().store.tokens)
    return Gate(Authentication(app, app.state.authenticator), host_names(config))


app = make_app()
