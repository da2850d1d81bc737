"""The server's routes of learning: training, jobs, versions, the gate, promotion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from .transport import Cancellable, Transport, a_list, an_object, part


class LearningRoutes:
    """The part of the Client that retrains; docs/http.md says what the routes answer."""

    http: Transport

    def training(self, model: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """Whether the model can be retrained now, and on how many corrections: for `retrain.Readiness.from_json`."""
        return an_object(self.http.json("GET", f"/headct/models/{part(model)}/training", ticket=ticket))

    def train(
        self, model: str, config: Mapping[str, Any] | None = None, enqueue: bool = False, ticket: Cancellable | None = None
    ) -> dict[str, Any]:
        """Starts a training: MONAI Label's task, whose `id` is that of the job. Not to be retried by itself: it would train twice."""
        query = {"run_sync": False, "enqueue": enqueue}
        return an_object(self.http.json("POST", f"/train/{part(model)}", query, dict(config or {}), ticket=ticket, answer_s=60.0))

    def jobs(self, kind: str | None = "train", limit: int = 20, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """Jobs of the server, the newest first."""
        return a_list(self.http.json("GET", "/headct/jobs", {"kind": kind, "limit": limit}, ticket=ticket))

    def job(self, job_id: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """One job, for `retrain.JobView.from_json`."""
        return an_object(self.http.json("GET", f"/headct/jobs/{part(job_id)}", ticket=ticket))

    def cancel_job(self, job_id: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """Cancels a job; one that runs ends soon after."""
        return an_object(self.http.json("DELETE", f"/headct/jobs/{part(job_id)}", ticket=ticket))

    def resume_job(self, job_id: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """Goes on with a job that was interrupted."""
        return an_object(self.http.json("POST", f"/headct/jobs/{part(job_id)}/resume", ticket=ticket))

    def job_log(self, job_id: str, after: int = 0, ticket: Cancellable | None = None) -> dict[str, Any]:
        """{text, next, ended}: the log from a byte on; `next` is the `after` of the next call."""
        return an_object(self.http.json("GET", f"/headct/jobs/{part(job_id)}/log", {"after": after}, ticket=ticket))

    def versions(self, model: str, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """All versions of a model."""
        return a_list(self.http.json("GET", f"/headct/models/{part(model)}/versions", ticket=ticket))

    def version_history(self, model: str, ticket: Cancellable | None = None) -> list[dict[str, Any]]:
        """Who served which version, and when."""
        return a_list(self.http.json("GET", f"/headct/models/{part(model)}/history", ticket=ticket))

    def gate(self, model: str, version: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """What the gate says of a version, for `gate.GateSummary.from_json`."""
        return an_object(self.http.json("GET", f"/headct/models/{part(model)}/versions/{part(version)}/gate", ticket=ticket))

    def gate_page(self, model: str, version: str, ticket: Cancellable | None = None) -> str:
        """The gate's report as one HTML page, fit to be written to a file and opened: a browser has no token."""
        return _with_policy(*self.http.page(f"/headct/models/{part(model)}/versions/{part(version)}/gate.html", ticket=ticket))

    def diff(self, model: str, before: str, after: str, ticket: Cancellable | None = None) -> dict[str, Any]:
        """What differs between two versions."""
        return an_object(self.http.json("GET", f"/headct/models/{part(model)}/diff", {"before": before, "after": after}, ticket=ticket))

    def promote(
        self,
        model: str,
        version: str | None = None,
        reason: str = "",
        against: str | None = None,
        reader: str = "",
        ticket: Cancellable | None = None,
    ) -> dict[str, Any]:
        """Has a version served, the candidate by default; the event of the history.

        `against` is the version that the person saw served: where it no longer is, nothing is done. `reason` is needed where the gate did
        not say promote, `reader` where the server asks nobody who they are.
        """
        body: dict[str, Any] = {"reason": reason, "reader": reader}
        body |= {name: value for name, value in (("version", version), ("against", against)) if value is not None}
        return an_object(self.http.json("POST", f"/headct/models/{part(model)}/promote", body=body, ticket=ticket))

    def rollback(self, model: str, reason: str = "", reader: str = "", ticket: Cancellable | None = None) -> dict[str, Any]:
        """Goes back to the version that was served before; the event of the history."""
        body = {"reason": reason, "reader": reader}
        return an_object(self.http.json("POST", f"/headct/models/{part(model)}/rollback", body=body, ticket=ticket))


def _with_policy(page: str, policy: str) -> str:
    """The page with its policy inside: a file has no headers, and a report that was imported may hold foreign scripts.

    It stands before all that the page says of itself, right after the declaration without which browsers fall back to old ways.
    """
    declared = re.match(r"\s*<!doctype html>", page, re.IGNORECASE)
    start = declared.end() if declared else 0
    meta = f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    return page[:start] + meta + page[start:] if policy else page
