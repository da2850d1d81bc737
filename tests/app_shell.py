"""The shell around the routes (id, origins, limits, gate) with small routes inside, for tests in one process."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from headct_molre.server.config import ServerConfig
from lib.access import Access
from lib.cors import Cors
from lib.errors import install_error_handlers
from lib.gate import Gate
from lib.limits import Limits


def shelled(routes: FastAPI, config: ServerConfig | None = None, grace_s: float = 30.0) -> Access:
    """The application as lib/server.py builds it."""
    config = config or ServerConfig()
    install_error_handlers(routes)
    return Access(Cors(Limits(Gate(routes, config), config, grace_s), config.cors_origins))


def asked(app: Access, method: str, path: str, **request) -> httpx.Response:
    """One request to an application."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())
