"""Readers who work at the same time: each asks, opens the next study, infers and submits, in random order and without a pause."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import httpx

from headct_molre.findings import finding_keys
from headct_molre.schema import State

INFO, NEXT, SUBMIT, INFER, STORED = "info", "next", "submit", "infer, computed", "infer, stored"

FULL = "queue_full"
TIMEOUT = httpx.Timeout(connect=5, read=120, write=30, pool=5)
MTIME = slice(4, 8)  # of a gzip header: other bytes, and so another content for the server, but the same volume


@dataclass(frozen=True)
class Answer:
    """What a client got: `code` is empty where the request was granted, else that of the refusal or the name of the fault."""

    route: str
    at: float
    ms: float
    code: str = ""


class Images:
    """Which phantoms have been predicted, and copies of them that have not.

    Study `study-000123` shows phantom 123 modulo the number of phantoms. `at_once` inferences at most are computed or wait at a time:
    the device is always busy, while most readers work with what is predicted already.
    """

    def __init__(self, phantoms: Sequence[Path], at_once: int) -> None:
        self._bytes = [path.read_bytes() for path in phantoms]
        self._asked: set[int] = set()
        self._predicted: list[int] = []
        self._lock = threading.Lock()
        self.places = threading.BoundedSemaphore(at_once)

    def is_new(self, study: str) -> bool:
        """Whether nobody has asked for this phantom before; the caller now does."""
        with self._lock:
            number = self._number(study)
            new = number not in self._asked
            self._asked.add(number)
        return new

    def note(self, study: str) -> None:
        """The phantom of a study has been predicted."""
        with self._lock:
            self._predicted.append(self._number(study))

    def predicted(self) -> str:
        """A study whose phantom has been predicted."""
        with self._lock:
            return study_name(random.choice(self._predicted))

    def copy(self) -> bytes:
        """A phantom as the server has never seen it."""
        content = bytearray(random.choice(self._bytes))
        content[MTIME] = random.randbytes(4)
        return bytes(content)

    def _number(self, study: str) -> int:
        return int(study.removeprefix("study-")) % len(self._bytes)


@dataclass
class Reader:
    """A reader with a connection of their own. What they were offered and what was acknowledged is kept for the checks."""

    name: str
    url: str
    images: Images
    answers: list[Answer] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    acknowledged: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.url, timeout=TIMEOUT, trust_env=False)

    def work(self, until: float, inferences: bool) -> None:
        """A quarter each of info, next, submit and infer, or a third each of the first three."""
        tasks = [self.info, self.next, self.submit, self.infer]
        while time.time() < until:
            task = random.choice(tasks if inferences else tasks[:3])
            # Nothing can be submitted or inferred before the first study is open.
            (task if self.offered or task == self.info else self.next)()

    def info(self) -> None:
        """Asks what the server has."""
        self._ask(INFO, "GET", "/info/")

    def next(self) -> None:
        """Opens the next study: the same again, as long as it is not read."""
        answer = self._ask(NEXT, "POST", "/activelearning/random", json={"client_id": self.name})
        if answer is None:
            return
        if "id" not in answer:
            self._failed("no_study_left")
        elif answer["id"] not in self.offered[-1:]:
            self.offered.append(answer["id"])

    def submit(self) -> None:
        """Submits on the study that is open, or corrects the reading of it."""
        states = {key: random.choice(get_args(State)) for key in finding_keys()}
        document = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": self.offered[-1], "reader": self.name}
        document |= {"model": None, "findings": states, "comment": "", "seconds_spent": 41.5, "client": "benchmark"}
        if self._ask(SUBMIT, "POST", "/headct/submissions", json=document) is not None:
            self.acknowledged.append(document)

    def infer(self) -> None:
        """Infers what is new while there is a place, else looks at a prediction that is there."""
        if not self.images.places.acquire(blocking=False):
            self._ask(STORED, "POST", "/infer/demo", params={"image": self.images.predicted(), "output": "json"})
            return
        try:
            self.compute(self.offered[-1])
        finally:
            self.images.places.release()

    def compute(self, study: str) -> None:
        """Infers a study, or where its phantom was predicted before, an upload with other bytes."""
        if not self.images.is_new(study):
            self._ask(INFER, "POST", "/infer/demo", params={"output": "json"}, files={"file": ("study.nii.gz", self.images.copy())})
        elif self._ask(INFER, "POST", "/infer/demo", params={"image": study, "output": "json"}) is not None:
            self.images.note(study)

    def stored(self, study: str) -> list[dict[str, Any]]:
        """The submissions on a study that the store holds."""
        answer = self._http.get(f"/headct/studies/{study}/submissions")
        answer.raise_for_status()
        return [record["submission"] for record in answer.json()]

    def _ask(self, route: str, method: str, path: str, **request: Any) -> Any:
        """The JSON of a granted request, else None. Who is told to come back later waits as long."""
        at, started = time.time(), time.perf_counter()
        wait = 0.0
        try:
            answer = self._http.request(method, path, **request)
            document, code = answer.json(), ""
            if answer.is_error:
                code, wait = document["code"], float(answer.headers.get("retry-after", 0))
        except (httpx.HTTPError, ValueError, KeyError) as error:
            document, code = None, type(error).__name__
        self.answers.append(Answer(route, at, 1000 * (time.perf_counter() - started), code))
        if code == FULL:
            time.sleep(wait)
        return None if code else document

    def _failed(self, code: str) -> None:
        self.answers[-1] = Answer(self.answers[-1].route, self.answers[-1].at, self.answers[-1].ms, code)


def study_name(number: int) -> str:
    """The id of a study."""
    return f"study-{number:06d}"
