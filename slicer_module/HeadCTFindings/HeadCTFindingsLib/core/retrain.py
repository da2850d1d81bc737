"""Retraining as the person sees it: whether it can start, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import NotReadable

RUNNING = ("queued", "running")
STAGES = {
    "corrections": "Collecting corrections",
    "features": "Reading slice features",
    "training": "Training",
    "gate": "Judging against the version that is served",
    "writing": "Writing the version",
}


@dataclass(frozen=True)
class Readiness:
    """What a training would learn from now; `reason` says why it cannot start."""

    ready: bool
    reason: str
    corrections: int
    trainable: int
    held_out: int
    random_share: float
    new: int
    minimum: int
    automatic: bool
    running: str | None
    modes: tuple[str, ...]

    @classmethod
    def from_json(cls, document: Any) -> Readiness:
        """From `Client.training`. Raises NotReadable."""
        try:
            return cls(
                ready=bool(document["ready"]),
                reason=str(document["reason"] or ""),
                corrections=int(document["corrections"]),
                trainable=int(document["trainable"]),
                held_out=int(document["held_out"]),
                random_share=float(document["random_share"]),
                new=int(document["new_since_champion"]),
                minimum=int(document["minimum_corrections"]),
                automatic=document["decision"] == "automatic",
                running=document["running"],
                modes=tuple(document["modes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NotReadable(f"the state of training is not as it should be: {error}") from None

    @property
    def lines(self) -> tuple[str, ...]:
        """The counts, what is missing, and who decides."""
        counts = f"{_count(self.corrections, 'corrected study', 'corrected studies')}, {self.new} new since the version that is served"
        split = f"{self.trainable} to learn from (at least {self.minimum}), {self.held_out} held out for the gate"
        drawn = f"{100 * self.random_share:.0f} % of them were drawn at random; the gate judges on such studies only"
        decides = "The gate promotes by itself." if self.automatic else "The gate advises; a person promotes."
        return tuple(line for line in (counts, split, drawn, decides, "" if self.ready else self.reason) if line)


@dataclass(frozen=True)
class JobView:
    """A training job: `share` is 0 to 1, `seconds_left` None where it is not known; `metrics` are live and finite."""

    job_id: str
    model: str
    state: str
    owner: str
    stage: str
    stage_number: int
    stages: int
    epoch: int | None
    epochs: int | None
    share: float
    seconds_left: float | None
    metrics: Mapping[str, float]
    message: str
    version: str | None
    outcome: str | None
    promoted: bool
    following: str
    summary: tuple[str, ...]
    counts: Mapping[str, int]
    problem: str

    @classmethod
    def from_json(cls, document: Any) -> JobView:
        """From `Client.job`. Raises NotReadable."""
        try:
            progress, result = document.get("progress") or {}, document.get("result") or {}
            error = document.get("error") or {}
            return cls(
                job_id=str(document["job_id"]),
                model=str(document.get("model") or ""),
                state=str(document["state"]),
                owner=str(document.get("owner") or ""),
                stage=str(progress.get("stage", "")),
                stage_number=int(progress.get("stage_number", 0)),
                stages=int(progress.get("stages", len(STAGES))),
                epoch=progress.get("epoch"),
                epochs=progress.get("epochs"),
                share=1.0 if document["state"] == "succeeded" else min(max(float(progress.get("percentage", 0)) / 100, 0.0), 1.0),
                seconds_left=progress.get("seconds_left"),
                metrics=dict(progress.get("metrics") or {}),
                message=str(progress.get("message", "")),
                version=result.get("version"),
                outcome=result.get("outcome"),
                promoted=bool(result.get("promoted")),
                following=str(result.get("next") or ""),
                summary=tuple(result.get("summary") or ()),
                counts=dict(result.get("counts") or {}),
                problem=str(error.get("message", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotReadable(f"the job is not as it should be: {error}") from None

    @property
    def running(self) -> bool:
        """Whether to go on asking."""
        return self.state in RUNNING

    @property
    def resumable(self) -> bool:
        """Whether it can go on where it was stopped."""
        return self.state == "interrupted"

    @property
    def line(self) -> str:
        """State, stage, epoch and time left in one line."""
        if self.state == "queued":
            return "Waits for its turn"
        if self.state != "running":
            return {
                "succeeded": f"Done: version {self.version}",
                "failed": f"Failed: {self.problem or 'the log has the reason'}",
                "cancelled": "Cancelled; nothing was changed",
                "interrupted": "Interrupted: the server was stopped; it can go on",
            }.get(self.state, self.state)
        parts = [STAGES.get(self.stage, self.message or "Starting")]
        if self.stage_number:
            parts[0] += f" ({self.stage_number} of {self.stages})"
        if self.epoch is not None and self.epochs:
            parts.append(f"epoch {self.epoch} of {self.epochs}")
        if self.seconds_left is not None:
            parts.append(f"{duration(self.seconds_left)} left")
        return ", ".join(parts)

    @property
    def metrics_text(self) -> str:
        """The live metrics, three digits each."""
        return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.metrics.items())

    @property
    def outcome_lines(self) -> tuple[str, ...]:
        """What came of it, once it is done: the gate's sentences and what is next."""
        return (*self.summary, self.following) if self.following else self.summary


@dataclass(frozen=True)
class VersionRow:
    """One version of a model in the list of versions."""

    version: str
    champion: bool
    candidate: bool
    demo: bool
    parent: str
    mean_auc: float | None
    created: str
    gate: str

    @property
    def text(self) -> str:
        """Version and what it is."""
        marks = ["served"] if self.champion else ["candidate"] if self.candidate else []
        marks += ["demo"] if self.demo else []
        said = {"promote": "gate: promote", "hold": "gate: hold", "reject": "gate: reject"}.get(self.gate, "")
        return " · ".join((self.version, *marks, *([said] if said else [])))


def version_rows(document: Any) -> tuple[VersionRow, ...]:
    """From `Client.versions`. Raises NotReadable."""
    try:
        return tuple(
            VersionRow(
                version=str(each["version"]),
                champion=bool(each["champion"]),
                candidate=bool(each["candidate"]),
                demo=bool(each["demo"]),
                parent=str(each["parent"] or ""),
                mean_auc=each["mean_auc"],
                created=str(each["created"]),
                gate=str(each["gate"]),
            )
            for each in document
        )
    except (KeyError, TypeError) as error:
        raise NotReadable(f"the list of versions is not as it should be: {error}") from None


class LogTail:
    """The end of a job's log as it grows: feed it the parts, ask from `after` on."""

    def __init__(self, lines: int = 200) -> None:
        self._most = lines
        self._text = ""
        self.after = 0
        self.ended = False

    def add(self, part: Mapping[str, Any]) -> str:
        """Takes a part of `Client.job_log`; the lines to show."""
        self._text = "".join((self._text + str(part["text"])).splitlines(keepends=True)[-self._most :])
        self.after, self.ended = int(part["next"]), bool(part["ended"])
        return self._text


def duration(seconds: float) -> str:
    """Seconds for a person: "12 s", "3 min", "2 h 5 min"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
