"""Which role each route needs at least. What is not listed is not served to anybody, whatever a handler may be mounted there.

A `*` stands for one part of a path. A slash at the end makes no difference, and HEAD is like GET.
"""

from __future__ import annotations

from ..errors import HeadCTError, NotFound
from ..readers import ROLES, Role

# Those to whom a token is yet to be given, and what watches the server, must get an answer: it says nothing about studies or readers.
OPEN = ("GET /headct/health", "GET /auth", "POST /auth/token")

POLICY: dict[Role, tuple[str, ...]] = {
    "reader": (
        "GET /",
        "GET /favicon.ico",
        "GET /auth/token/valid",
        "GET /info",
        "GET /openapi.json",
        "GET /headct/openapi.json",
        "GET /headct/findings",
        "GET /headct/metrics",
        "GET /headct/models",
        "GET /headct/models/*/training",
        "GET /headct/models/*/versions",
        "GET /headct/models/*/versions/*/gate",
        "GET /headct/models/*/versions/*/gate.html",
        "GET /headct/models/*/history",
        "GET /headct/models/*/diff",
        "POST /infer/*",
        "POST /activelearning/*",
        "PUT /session",
        "GET /session/*",
        "DELETE /session/*",
        "GET /headct/studies",
        "GET /headct/studies/*",
        "GET /headct/studies/*/volume",
        "GET /headct/studies/*/heatmap",
        "GET /headct/studies/*/submissions",
        "GET /headct/studies/*/label",
        "GET /headct/studies/*/history",
        "PUT /headct/studies/*/lease",
        "DELETE /headct/studies/*/lease",
        "POST /headct/studies/*/skip",
        "GET /headct/readings",
        "GET /headct/queue",
        "DELETE /headct/queue/*",
        "GET /headct/jobs",
        "GET /headct/jobs/*",
        "GET /headct/jobs/*/log",
        "POST /headct/submissions",
        "GET /datastore",
        "PUT /datastore",
        "GET /datastore/dataset",
        "GET /datastore/image",
        "PUT /datastore/image",
        "GET /datastore/image/info",
        "PUT /datastore/image/info",
        "GET /datastore/label",
        "PUT /datastore/label",
        "GET /datastore/label/info",
        "GET /batch/infer",
    ),
    "trainer": (
        "PUT /headct/readers-required",
        "GET /headct/agreement",
        "POST /train",
        "POST /train/*",
        "GET /train",
        "DELETE /train",
        "POST /batch/infer/*",
        "DELETE /batch/infer",
        "DELETE /headct/jobs/*",
        "POST /headct/jobs/*/resume",
        "POST /headct/models/*/promote",
        "POST /headct/models/*/rollback",
        "POST /headct/studies/*/reopen",
        "POST /headct/studies/scan",
        "GET /model/*",
        "GET /model/info/*",
    ),
    # Nothing of this is needed to read or to train; most of it is off unless the operator enables it.
    "admin": (
        "DELETE /datastore",
        "DELETE /datastore/image",
        "DELETE /datastore/label",
        "PUT /datastore/label/info",
        "PUT /datastore/updatelabelinfo",
        "PUT /model/*",
        "DELETE /model/*",
        "GET /scoring",
        "POST /scoring",
        "POST /scoring/*",
        "DELETE /scoring",
        "POST /infer/wsi/*",
        "POST /infer/wsi_v2/*",
        "GET /logs",
        "GET /logs/gpu",
        "GET /ohif/**",
        "GET /proxy/dicom/**",
        "POST /proxy/dicom/**",
        "GET /static/**",
        "GET /docs",
        "POST /reload",
    ),
}

_Route = tuple[str, tuple[str, ...], Role | None]
_EVERY: list[_Route] = [
    (method, tuple(path.strip("/").split("/")), role)
    for role, entries in (*POLICY.items(), (None, OPEN))
    for method, path in map(str.split, entries)
]


def least_role(method: str, path: str) -> Role | None:
    """The least role for a request, None where no token is needed. Raises NotFound `not_found`, HeadCTError `method_not_allowed`."""
    parts = tuple(path.removeprefix("/").removesuffix("/").split("/"))
    listed = [(allowed, role) for allowed, pattern, role in _EVERY if path.startswith("/") and _matches(pattern, parts)]
    if not listed:
        raise NotFound("not_found", "There is no such route; GET /headct/openapi.json lists them.")
    wanted = "GET" if method == "HEAD" else method
    roles = [role for allowed, role in listed if allowed == wanted]
    if not roles:
        methods = ", ".join(sorted({allowed for allowed, _ in listed}))
        raise HeadCTError("method_not_allowed", f"This route takes {methods}.", status=405)
    # Where two entries match, the stricter one holds.
    return max(roles, key=lambda role: -1 if role is None else ROLES.index(role))


def _matches(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        pattern, parts = pattern[:-1], parts[: len(pattern) - 1]
    return len(pattern) == len(parts) and all((want == "*" and part) or want == part for want, part in zip(pattern, parts, strict=True))
