"""Submissions on their way: on the disk first, sent once, and kept until the server has them or refuses them for good.

A submission has its UUID from the beginning. Sending it twice stores it once, so whatever happens between the server's disk and this
one, the answer is to send it again.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import NOT_OURS, Cancelled, NotReadable, ServerError, Unreachable, passing, sentence
from .files import private_folder, write_json

FIRST_S, MOST_S = 2.0, 300.0
_TOKEN = ("unauthenticated", "forbidden")  # with another token it goes through


@dataclass(frozen=True)
class Letter:
    """One submission on its way to one server, which gets them in the order of `number`: a reader's last one on a study counts.

    `due` is when to try again (seconds since 1970), `refused` why it never will.
    """

    server: str
    document: dict[str, Any]
    number: int
    attempts: int = 0
    due: float = 0.0
    problem: str = ""
    refused: str = ""

    @property
    def submission_id(self) -> str:
        """The client's UUID."""
        return str(self.document["submission_id"])

    @property
    def study(self) -> str:
        """The study that was read."""
        return str(self.document["study"])

    @property
    def text(self) -> str:
        """For the list of what waits."""
        why = self.refused or self.problem
        calls = len(self.document["findings"])
        return f"{self.study}, {calls} {'call' if calls == 1 else 'calls'} by {self.document['reader']}" + (f": {why}" if why else "")


@dataclass(frozen=True)
class Sent:
    """What came of one round: `stored` receipts of the server by submission id, and the letters that wait or were refused in it."""

    stored: Mapping[str, Mapping[str, Any]]
    waiting: tuple[Letter, ...]
    refused: tuple[Letter, ...]


class Outbox:
    """The outbox in one folder of this computer; threads may share it."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = private_folder(folder)
        self._clock = clock
        self._lock = threading.RLock()
        self._letters: dict[str, Letter] = {}
        self.damaged: list[str] = []  # names of files that cannot be read; they are left where they are
        for path in sorted(self._folder.glob("*.json")):
            try:
                letter = Letter(**json.loads(path.read_bytes()))
                self._letters[letter.submission_id] = letter
            except (OSError, ValueError, TypeError, KeyError):
                self.damaged.append(path.name)

    def put(self, server: str, document: Mapping[str, Any]) -> Letter:
        """Takes a submission; it is on the disk when this returns, and due with all before it. Raises OSError."""
        with self._lock:
            letter = Letter(server, dict(document), 1 + max((each.number for each in self._letters.values()), default=0))
            self._keep(letter)
        self.make_due(server)
        return letter

    def waiting(self, server: str | None = None) -> tuple[Letter, ...]:
        """What is still to be sent, to one server or to all, in the order in which they go."""
        with self._lock:
            letters = [each for each in self._letters.values() if not each.refused and server in (None, each.server)]
        return tuple(sorted(letters, key=lambda letter: letter.number))

    def refused(self) -> tuple[Letter, ...]:
        """What a server refused for good, with its reason."""
        with self._lock:
            return tuple(letter for letter in self._letters.values() if letter.refused)

    @property
    def count(self) -> int:
        """How many wait: the counter in the panel."""
        return len(self.waiting())

    @property
    def line(self) -> str:
        """The counter in words; empty where there is nothing to say."""
        waiting, refused = self.waiting(), self.refused()
        parts = []
        if waiting:
            problem = next((letter.problem for letter in waiting if letter.problem), "")
            parts.append(f"{len(waiting)} not sent yet" + (f" ({problem.rstrip('.')})" if problem else ""))
        if refused:
            parts.append(f"{len(refused)} refused by the server")
        return ", ".join(parts)

    def seconds_to_next(self, server: str) -> float | None:
        """How long until the first one is due for a server, 0 where it is now; None where nothing waits."""
        waiting = self.waiting(server)
        return max(0.0, waiting[0].due - self._clock()) if waiting else None

    def make_due(self, server: str) -> None:
        """Everything may be tried at once: the person pressed "send now", the server is back, or the token is another."""
        for letter in self.waiting(server):
            if letter.due:
                self._keep(replace(letter, due=0.0))

    def retry(self, submission_id: str) -> None:
        """Puts a refused submission back in its old place among those to be sent. Raises KeyError."""
        with self._lock:
            letter = self._letters[submission_id]
        self._keep(replace(letter, refused="", attempts=0, due=0.0))

    def discard(self, submission_id: str) -> None:
        """Forgets a submission that was refused: only what the person said to drop is ever dropped."""
        self._forget(submission_id)

    def flush(
        self,
        server: str,
        submit: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        check: Callable[[], None] = lambda: None,
    ) -> Sent:
        """Inside a worker's work: sends what is due. `submit` is `Client.submit`; `check` raises Cancelled.

        The first failure that concerns the server and not the submission ends the round: all others would meet it too, and none may
        overtake it. So does one that is not due yet.
        """
        stored: dict[str, Mapping[str, Any]] = {}
        waiting: list[Letter] = []
        refused: list[Letter] = []
        now = self._clock()
        for letter in self.waiting(server):
            if letter.due > now:
                break
            check()
            try:
                receipt = submit(letter.document)
            except Cancelled:
                raise
            except (ServerError, Unreachable, NotReadable) as error:
                after = self._after(letter, error)
                self._keep(after)
                (refused if after.refused else waiting).append(after)
                if not after.refused:
                    break
            else:
                self._forget(letter.submission_id)
                stored[letter.submission_id] = receipt
        return Sent(stored, tuple(waiting), tuple(refused))

    def _after(self, letter: Letter, error: Exception) -> Letter:
        """The letter after a failure: to be tried later and later, or refused for good."""
        attempts = letter.attempts + 1
        # Only our server can refuse for good: what a proxy or another program answers says nothing about the submission.
        if isinstance(error, ServerError) and error.code != NOT_OURS and error.code not in _TOKEN and not passing(error):
            return replace(letter, attempts=attempts, refused=sentence(error))
        asked = getattr(error, "retry_after", None)
        wait = min(FIRST_S * 2 ** min(attempts - 1, 16), MOST_S) * random.uniform(0.5, 1.0) if asked is None else min(asked, MOST_S)
        return replace(letter, attempts=attempts, due=self._clock() + wait, problem=sentence(error))

    def _keep(self, letter: Letter) -> None:
        with self._lock:
            write_json(self._folder / f"{letter.submission_id}.json", letter.__dict__)
            self._letters[letter.submission_id] = letter

    def _forget(self, submission_id: str) -> None:
        with self._lock:
            (self._folder / f"{submission_id}.json").unlink(missing_ok=True)
            self._letters.pop(submission_id, None)
