"""Keeps the registry in step with the studies folder, from a thread of its own.

Requests are answered from the registry and never wait for a pass through the folder. Only an id that is not registered makes the
server look: first where a study of that name would lie, then, for a short time, through the folder. One pass runs at a time
(`_passing`); those who wait for it share it. Nothing else is locked: the results of a pass are replaced as a whole.
"""

from __future__ import annotations

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import HeadCTError
from ...imaging.formats import FORMATS
from ..store.folder import FolderImages, FolderRegistry, FolderStudy
from ..store.studies import StudyImages
from .look import Found, studies_in, volume_found
from .names import study_names
from .reconcile import Changes, compare
from .walk import File, Folder, Walk, dicom_patient, walk

logger = logging.getLogger("headct_molre.folder")

FULL_PASS_S = 300.0  # how often times of folders are not trusted: some network file systems do not keep them
REST = 10  # after a pass, the thread rests this many times as long at least: a large folder must not take a core
FIND_WAIT_S = 2.0  # how long a request for an unknown id waits for a pass
START_WAIT_S = 1.0  # how long the server's start waits for the first pass
STALLED_S = 120.0


@dataclass(frozen=True)
class Problem:
    """Why the registry may not be what the folder holds; `message` names no file and no study."""

    code: str
    message: str


class StudyFolder:
    """The folder at `root`, which exists, and its registry; `scan_s` seconds lie between two passes."""

    def __init__(self, root: Path, registry: FolderRegistry, scan_s: float = 5.0) -> None:
        self.root = Path(os.path.realpath(root))
        self._registry, self._scan_s = registry, scan_s
        self._passing = threading.Lock()
        self._folders: dict[str, Folder] = {}
        self._waiting = True  # whether the last pass left something for the next
        self._began = self._full_began = -math.inf
        self._ended: float | None = None
        self._full_s = 0.0
        self._problems: list[Problem] = []
        self._end = threading.Event()
        self._first = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts looking; waits a moment for the first pass, so that a small folder is known when the server answers."""
        self._thread = threading.Thread(target=self._run, name="study-folder", daemon=True)
        self._thread.start()
        self._first.wait(START_WAIT_S)

    def close(self) -> None:
        """Ends the thread; a pass that runs is given up."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def scan(self, accept_missing: bool = False) -> None:
        """One whole pass now; new files are taken at once. `accept_missing` lets studies go that look like an outage.

        Raises StoreUnavailable.
        """
        with self._passing:
            self._pass(full=True, patient=False, accept_missing=accept_missing)

    def find(self, study: str) -> StudyImages | None:
        """The images of an id that is not registered, where they have just come.

        Raises HeadCTError `folder_not_read_yet` (503) while the folder is being read for the first time, StoreUnavailable.
        """
        asked = time.monotonic()
        found = self._beside(study)
        if found is not None:
            for images in self._registry.add([_named(found.images)]):
                if images.study == study:
                    return images
        # Not `with`: a request does not wait longer than this.
        if self._passing.acquire(timeout=FIND_WAIT_S):
            try:
                if self._began < asked:
                    self._pass(full=False, patient=False)
            finally:
                self._passing.release()
        elif self._ended is None:
            message = "The studies folder is being read for the first time. Send the request again in a minute."
            raise HeadCTError("folder_not_read_yet", message, field="study", status=503)
        return self._registry.images(study)

    def lost(self, study: str, path: str) -> bool:
        """Notes that the images of a registered study are not at their path any more; False where that looks like an outage."""
        went = _went(self.root, path)
        if went:
            self._registry.remove([FolderStudy(study, path, None, None, True)])
        return went

    def problems(self) -> list[Problem]:
        """What an operator should know; empty where all is well."""
        if self._thread is None or self._end.is_set():
            return self._problems
        since = self._ended if self._ended is not None else self._began
        if self._passing.locked() and self._ended is not None and time.monotonic() - since > STALLED_S + self._scan_s:
            message = f"The studies folder has not answered for {time.monotonic() - since:.0f} s. Check its file system."
            return [Problem("studies_folder_stalled", message)]
        return self._problems

    def _run(self) -> None:
        while not self._end.is_set():
            started = time.monotonic()
            try:
                with self._passing:
                    self._pass(full=started - self._full_began >= max(FULL_PASS_S, REST * self._full_s), patient=True)
            except HeadCTError as error:  # the store; the next pass tries again
                self._problems = [Problem(error.code, error.message)]
            except Exception as error:
                # Its text may hold a path.
                logger.error("a pass through the studies folder failed with %s", type(error).__name__)
                self._problems = [Problem("scan_failed", f"The studies folder could not be looked through ({type(error).__name__}).")]
            self._first.set()
            self._end.wait(max(self._scan_s, REST * (time.monotonic() - started)))

    def _pass(self, full: bool, patient: bool, accept_missing: bool = False) -> None:
        """Walks, compares, writes. `patient` leaves files that may still be copied for a later pass."""
        self._began = time.monotonic()
        self._full_began = self._began if full else self._full_began
        seen = walk(self.root, self._folders, trust_times=not full, stopped=self._end.is_set)
        if seen is None:
            return
        if full or seen.changed or self._waiting:
            self._update(seen, patient, accept_missing)
        self._ended = time.monotonic()
        self._full_s = self._ended - self._began if full else self._full_s

    def _update(self, seen: Walk, patient: bool, accept_missing: bool) -> None:
        studies = self._registry.studies()
        known = {study.path for study in studies if study.present and study.format == "dicom"}
        found = studies_in(seen.folders, known)
        if not patient:
            found = [Found(each.images, True) for each in found]
        changes = compare(found, studies, seen, accept_missing)
        self._registry.move(changes.moved)
        self._registry.add(map(_named, changes.new))
        self._registry.remove([study for study in changes.gone if not self._came_back(study, seen)])
        self._folders = seen.folders
        self._waiting = bool(changes.held or seen.unreadable) or not all(each.settled for each in found)
        self._problems = _problems(seen, changes)
        if changes.new or changes.moved or changes.gone:
            logger.info("studies folder: %d new, %d moved, %d gone", len(changes.new), len(changes.moved), len(changes.gone))

    def _came_back(self, study: FolderStudy, seen: Walk) -> bool:
        """Whether a file is there that the walk did not see: an upload, or one that was replaced meanwhile."""
        return study.path not in seen.folders and os.path.lexists(self.root / study.path)

    def _beside(self, study: str) -> Found | None:
        """The study of this name directly in the studies folder."""
        for suffix in FORMATS:
            status = _status(self.root / f"{study}{suffix}")
            if status is not None and stat.S_ISREG(status.st_mode):
                file = File(f"{study}{suffix}", FORMATS[suffix], status.st_size, status.st_mtime_ns)
                patient = dicom_patient(self.root / file.name) if suffix == ".dcm" else None
                return volume_found("", file._replace(patient=patient), settled=True)
        status = _status(self.root / study)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return None
        seen = walk(self.root, start=study, stopped=_after(FIND_WAIT_S))
        found = [] if seen is None else studies_in(seen.folders, top=study)
        return found[0] if [each.images.path for each in found] == [study] else None


def _named(images: FolderImages) -> tuple[FolderImages, tuple[str, ...]]:
    return images, study_names(images.path, images.is_folder)


def _went(root: Path, path: str) -> bool:
    """Whether the nearest folder above `path` that exists can be read and is not empty."""
    parent = path.rpartition("/")[0]
    try:
        with os.scandir(root / parent) as entries:
            return any(not entry.name.startswith(".") for entry in entries)
    except FileNotFoundError:
        return bool(parent) and _went(root, parent)
    except OSError:
        return False


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=False)
    except OSError:
        return None


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _problems(seen: Walk, changes: Changes) -> list[Problem]:
    problems = []
    if "" in seen.unreadable:
        problems.append(Problem("studies_folder_unreadable", "The studies folder cannot be read. Check its file system and rights."))
    elif seen.unreadable:
        text = f"{len(seen.unreadable)} folder(s) in the studies folder cannot be read; their studies stay listed. Check their rights."
        problems.append(Problem("folder_unreadable", text))
    if changes.held:
        text = (
            f"The images of {len(changes.held)} studies went away at once, as when a file system is not mounted; the studies stay listed. "
            "If they were removed on purpose, POST /headct/studies/scan?accept_missing=true."
        )
        problems.append(Problem("studies_missing", text))
    unnamed = sum(folder.unnamed for folder in seen.folders.values())
    if unnamed:
        problems.append(Problem("name_not_utf8", f"{unnamed} file(s) or folder(s) have names that are not UTF-8. Rename them."))
    return problems
