"""MONAI Label's routes that are off: unsafe without authentication, or about what a head CT server does not have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RouteOff:
    """Routes below a path. `methods` None means all; a slash at the end of `path` stands for that path alone.

    `may_be_enabled`: an operator may switch it on by its name. Never so where a request could bring code or weights, read the log
    of other readers, or reach a handler that this server has no answer for.
    """

    name: str
    methods: frozenset[str] | None
    path: str
    reason: str
    may_be_enabled: bool = False

    def covers(self, method: str, path: str) -> bool:
        """Whether a request is one for this route."""
        below = path == self.path or path.startswith(self.path + "/")
        return below and (self.methods is None or method in self.methods)


def _off(name: str, path: str, reason: str, *methods: str, may_be_enabled: bool = False) -> RouteOff:
    return RouteOff(name, frozenset(methods) or None, path, reason, may_be_enabled)


ROUTES_OFF = (
    _off("docs", "/docs", "MONAI Label's page loads scripts from another web site; /headct/openapi.json describes the routes.",
         may_be_enabled=True),
    _off("proxy", "/proxy", "This server lends nobody its access to a PACS.", may_be_enabled=True),
    _off("model", "/model", "Model versions are immutable and are not uploaded.", "PUT", "DELETE"),
    _off("reload", "/reload", "Restart the server to load the app again."),
    _off("logs", "/logs", "Read the log where the server was started."),
    _off("ohif", "/ohif", "This server has no web viewer."),
    _off("scoring", "/scoring", "This server has no scoring methods; labels are compared when a model is evaluated."),
    _off("wsi", "/infer/wsi", "This server does not read pathology slides."),
    _off("wsi_v2", "/infer/wsi_v2", "This server does not read pathology slides."),
    _off("label_info", "/datastore/label/info", "A label is derived from submissions; it carries no notes of its own.", "PUT"),
    _off("updatelabelinfo", "/datastore/updatelabelinfo", "A label is derived from submissions; it carries no notes of its own.", "PUT"),
)  # fmt: skip
