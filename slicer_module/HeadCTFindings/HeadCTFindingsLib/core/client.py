"""The server's routes, one method each; docs/http.md says what they answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .client_learning import LearningRoutes
from .connection import Address, normalised
from .transport import Cancellable, Transport, a_list, an_object, part

INFERENCE_S = 900.0  # a large model on a CPU behind a full queue
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".zip")


class Client(LearningRoutes):
    """A server. All methods block: call them inside a worker's work and hand its ticket on, which cancels and reports progress.

    They raise ServerError, Unreachable, Cancelled and NotReadable. A Client is not changed after it was made: threads share it.
    """

    def __init__(self, address: Address | str, token: str = "", certificate: str = "") -> None:
        """Raises Unreachable at the step "address" for a text that is none."""
        self.address = normalised(address) if isinstance(address, str) else address
        self.token = token.strip()
        self.http = Transport(self.address, self.token, certificate)

    def about(self, ticket: Cancellable | None = None) -> Any:
        """{name, version, note, routes}."""
        return self.http.json("GET", "/", ticket=ticket)

    def info(self, ticket: Cancellable | None = None) -> dict[str, Any]:
        """Models, strategies and trainers in MONAI Label's words."""
        return an_object(self.http.json("GET", "/info/", ticket=ticket))

    def health(self, ticket: Cancellable | None = None) -> dict[str, Any]:
        """{status, reasons, version, uptime_s}, also of a server that cannot work now."""
        return an_object(self.http.json("GET", "/headct/health", ticket=ticket, accept=(503,)))

    def auth_enabled(self, ticket: Cancellable | None = None) -> bool:
        """Whether the server asks for a token."""
        return bool(an_object(self.http.json("GET", "/auth/", ticket=ticket), "enabled")["enabled"])

    def whoami(self, ticket: Cancellable | None = None) -> dict[str, Any]:
        """{username, roles}: whose token it is."""
        return an_object(self.http.json("GET", "/auth/token/valid", ticket=ticket))

    def queue(self, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """What runs and waits on each device."""
        return a_list(self.http.json("GET", "/headct/queue", ticket=ticket))

    def findings(self, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """The taxonomy, for `Catalogue.from_json`."""
        return a_list(self.http.json("GET", "/headct/findings", ticket=ticket))

    def models(self, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """[{name, available, reason, card}]."""
        return a_list(self.http.json("GET", "/headct/models", ticket=ticket))

    def studies(self, after: str = "", limit: int = 1000, state: str | None = None, ticket: Cancellable | None = None) -> dict[str, Any]:
        """A page {studies, total, next}; `next` is the `after` of the following one."""
        return an_object(self.http.json("GET", "/headct/studies", {"after": after, "limit": limit, "state": state}, ticket=ticket))

    def study(self, study: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """One study."""
        return an_object(self.http.json("GET", f"/headct/studies/{part(study)}", ticket=ticket))

    def next_study(self, strategy: str, reader: str, another: bool = False, ticket: Cancellable | None = None) -> dict[str, Any] | None:
        """{id, why, random, lease, ...}; None when no study is left. `another` gives the open one back."""
        body = {"client_id": reader, "another": another}
        return self.http.json("POST", f"/activelearning/{part(strategy)}", body=body, ticket=ticket) or None

    def lease(self, study: str, reader: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """Opens a study by hand, or keeps it open: {taken_at, expires_at, ...} and who else has it open."""
        return an_object(self.http.json("PUT", f"/headct/studies/{part(study)}/lease", {"reader": reader}, ticket=ticket))

    def release(self, study: str, reader: str, ticket: Cancellable | None = None) -> bool:
        """Closes a study without reading it; whether it was open."""
        return bool(
            an_object(self.http.json("DELETE", f"/headct/studies/{part(study)}/lease", {"reader": reader}, ticket=ticket), "released")[
                "released"
            ]
        )

    def skip(self, study: str, reason: str, reader: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """Not to be offered a study again."""
        body = {"reason": reason, "reader": reader}
        return an_object(self.http.json("POST", f"/headct/studies/{part(study)}/skip", body=body, ticket=ticket))

    def upload_study(self, study: str, file: Path, ticket: Cancellable | None = None) -> str:
        """Adds a study for good and returns its id; reports `Transfer`. An id that is taken is refused with `study_exists`."""
        return str(
            an_object(self.http.upload("/datastore/image", {"image": study}, "file", file, suffix_of(file), ticket), "image")["image"]
        )

    def create_session(self, file: Path, ticket: Cancellable | None = None, expiry_s: int | None = None) -> str:
        """Uploads a volume for an hour, not as a study, and returns the id of its session; reports `Transfer`."""
        query = {"expiry": expiry_s}
        return str(an_object(self.http.upload("/session/", query, "files", file, suffix_of(file), ticket), "session_id")["session_id"])

    def end_session(self, session: str, ticket: Cancellable | None = None) -> None:
        """Has the server forget an uploaded volume."""
        self.http.json("DELETE", f"/session/{part(session)}", ticket=ticket)

    def download_study(self, study: str, file: Path, ticket: Cancellable | None = None) -> Path:
        """Fetches a study's volume file; reports `Transfer`."""
        return self.http.download("/datastore/image", {"image": study}, file, ticket)

    def infer(
        self,
        model: str,
        study: str = "",
        session: str = "",
        ticket: Cancellable | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """The Prediction of a study or a session. When it is cancelled here, the server takes it from its queue too."""
        query = {"image": study or None, "session_id": session or None, "output": "json"}
        identity = request_id or new_request_id()
        return an_object(self.http.json("POST", f"/infer/{part(model)}", query, ticket=ticket, answer_s=INFERENCE_S, request_id=identity))

    def heat_map(
        self, study: str, finding: str, model: str, file: Path, ticket: Cancellable | None = None, request_id: str | None = None
    ) -> Path:
        """Where a model looked for a finding, as NRRD on the grid of the study's volume. Cancelled here, it leaves the queue there."""
        query = {"finding": finding, "model": model, "output": "nrrd"}
        path = f"/headct/studies/{part(study)}/heatmap"
        return self.http.download(path, query, file, ticket, answer_s=INFERENCE_S, request_id=request_id or new_request_id())

    def cancel_inference(self, request_id: str, ticket: Cancellable | None = None) -> int:
        """Takes an inference back, for everybody who asked under this id; how many."""
        return int(an_object(self.http.json("DELETE", f"/headct/queue/{part(request_id)}", ticket=ticket), "cancelled")["cancelled"])

    def submit(self, submission: Mapping[str, Any], ticket: Cancellable | None = None) -> dict[str, Any]:
        """Stores a Submission: {submission_id, study, received_at}; a repeat of the same document is stored once."""
        return an_object(self.http.json("POST", "/headct/submissions", body=dict(submission), ticket=ticket))

    def submissions(self, study: str, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """All submissions on a study in the order of their arrival, with the probabilities that their readers saw."""
        return a_list(self.http.json("GET", f"/headct/studies/{part(study)}/submissions", ticket=ticket))

    def label(self, study: str, ticket: Cancellable | None = None) -> dict[str, str]:
        """The label that follows from the submissions, {key: state}."""
        return dict(an_object(self.http.json("GET", f"/headct/studies/{part(study)}/label", ticket=ticket), "findings")["findings"])

    def readings(self, reader: str, limit: int = 100, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """What a reader has open, skipped or read, newest first."""
        return a_list(self.http.json("GET", "/headct/readings", {"reader": reader, "limit": limit}, ticket=ticket))


def new_request_id() -> str:
    """An id for one request, of the form that the server takes."""
    return uuid.uuid4().hex


def suffix_of(file: Path) -> str:
    """The suffix by which the server knows the format. Raises ValueError that names those it can read."""
    name = file.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise ValueError(f"A file for the server ends in {', '.join(SUFFIXES)}.")
