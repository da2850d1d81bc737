"""One walk through the studies folder: what lies in each folder, read again only where it may have changed."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...imaging.dicom_study import study_identity
from ...imaging.formats import FORMATS, study_suffix
from ...imaging.limits import MAX_FOLDER_DEPTH
from ..store.patients import patient_digest

# A file that was written this short a time ago may still grow.
SETTLE_S = 2.0
# A folder's time tells of a change only to its resolution, which is 2 s on some disks.
TIME_RESOLUTION_S = 3.0
_TRIES = 8  # files of a folder that are opened to see whether they are DICOM


class File(NamedTuple):
    """A volume file with the name of its format, its size in bytes and its time in nanoseconds."""

    name: str
    format: str
    size: int
    mtime_ns: int

    def is_settled(self, now: float) -> bool:
        """Whether it has been left alone for a while, so that it is no longer being copied."""
        return not _is_new(self.mtime_ns, now)


@dataclass(frozen=True)
class Folder:
    """What lies directly in a folder; `path` is relative, with / as separator and "" for the studies folder itself.

    `dicom` holds a key for each DICOM study that its files were seen to belong to, `patients` a digest for each patient (None where a file
    names none), `names` stands for the names of those files; `settled` says that nothing in it is new; `entries` counts all that is not
    hidden.
    """

    path: str
    mtime_ns: int = field(compare=False)
    read_at: float = field(compare=False)
    volumes: tuple[File, ...] = ()
    folders: tuple[str, ...] = ()
    dicom: frozenset[str] = frozenset()
    patients: frozenset[str | None] = frozenset()
    names: int = 0
    settled: bool = field(default=True, compare=False)
    entries: int = 0
    unnamed: int = 0  # names that are not UTF-8, which the store cannot hold


@dataclass
class Walk:
    """The folders by their path, those that could not be read, and whether anything is other than in the walk before."""

    folders: dict[str, Folder] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    changed: bool = False

    def is_unread(self, path: str) -> bool:
        """Whether this path, or a folder above it, could not be read: then nothing can be said about it."""
        return bool(self.unreadable) and any(each in self.unreadable for each in _with_those_above(path))

    def is_emptied(self, path: str) -> bool:
        """Whether the nearest folder of this path that still exists is empty, like that of a file system that is not mounted."""
        for each in _with_those_above(path):
            if each in self.folders:
                return self.folders[each].entries == 0
        return False


def walk(
    root: Path,
    before: Mapping[str, Folder] | None = None,
    trust_times: bool = True,
    start: str = "",
    stopped: Callable[[], bool] = lambda: False,
) -> Walk | None:
    """All folders at or below `start`; None when it was stopped.

    With `trust_times`, folders of `before` whose time has not changed are taken from it. Headers are read again only where names or
    the time changed. Never raises for what lies in the folder; a folder that cannot be read is noted.
    """
    result, before = Walk(), before or {}
    waiting = [start]
    while waiting:
        if stopped():
            return None
        path = waiting.pop()
        try:
            folder = (_unchanged(root, path, before.get(path)) if trust_times else None) or _read(root, path, before.get(path))
        except FileNotFoundError:
            if path == "":
                result.unreadable.add(path)
            continue  # removed since its name was read
        except OSError:
            result.unreadable.add(path)
            continue
        result.changed |= folder is not before.get(path) and folder != before.get(path)
        result.folders[path] = folder
        if path.count("/") + 1 < MAX_FOLDER_DEPTH:
            waiting += [f"{path}/{name}" if path else name for name in folder.folders]
    result.changed |= len(result.folders) != len(before)
    return result


def _unchanged(root: Path, path: str, before: Folder | None) -> Folder | None:
    """The folder as it was read before, where its time proves that nothing came or went since."""
    if before is None or not before.settled:
        return None
    mtime_ns = os.stat(root / path, follow_symlinks=False).st_mtime_ns
    still = mtime_ns == before.mtime_ns and mtime_ns / 1e9 < before.read_at - TIME_RESOLUTION_S
    return before if still else None


def _read(root: Path, path: str, before: Folder | None) -> Folder:
    now, place = time.time(), os.path.join(root, path)
    status = os.stat(place, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError  # a link took its place
    volumes, folders, others = [], [], []
    seen = unnamed = 0
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            seen += 1
            if not _is_text(entry.name):
                unnamed += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                suffix = study_suffix(entry.name)
                # Below the studies folder, DICOM files are slices of the folder's study.
                if suffix is None or (suffix == ".dcm" and path):
                    others.append(entry.name)
                elif (file := _file(entry, FORMATS[suffix])) is not None:
                    volumes.append(file)
    others.sort()
    names = hash(tuple(others))
    if before is not None and before.settled and (before.mtime_ns, before.names) == (status.st_mtime_ns, names):
        dicom, patients = before.dicom, before.patients
    else:
        dicom, patients = _dicom_studies(place, others if path else [])
    settled = all(file.is_settled(now) for file in volumes) and not (dicom and _is_new(status.st_mtime_ns, now))
    return Folder(
        path=path,
        mtime_ns=status.st_mtime_ns,
        read_at=now,
        volumes=tuple(sorted(volumes)),
        folders=tuple(sorted(folders)),
        dicom=dicom,
        patients=patients,
        names=names,
        settled=settled,
        entries=seen,
        unnamed=unnamed,
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _file(entry: os.DirEntry[str], kind: str) -> File | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None  # removed since its name was read
    return File(entry.name, kind, status.st_size, status.st_mtime_ns)


def _is_new(mtime_ns: int, now: float) -> bool:
    # A time in the future is the clock of another machine.
    return 0 <= now - mtime_ns / 1e9 < SETTLE_S


def _dicom_studies(folder: str, names: list[str]) -> tuple[frozenset[str], frozenset[str | None]]:
    """Keys of studies and patients of the first and the last DICOM file: exports that hold two patients are sorted by them."""
    first = _first_study(folder, names)
    if first is None:
        return frozenset(), frozenset()
    last = _first_study(folder, names[::-1]) or first
    return frozenset({first[0], last[0]}), frozenset({first[1], last[1]})


def _first_study(folder: str, names: list[str]) -> tuple[str, str | None] | None:
    for name in names[:_TRIES]:
        try:
            identity = study_identity(Path(folder, name))
        except OSError:
            continue
        if identity is not None:
            # Hashes: the store keeps no identifier of the hospital. Without a UID, the files belong to this folder alone.
            key = hashlib.sha256((identity.study_uid or folder).encode("utf-8", "surrogateescape")).hexdigest()[:32]
            return key, patient_digest(identity.patient_id)
    return None


def _with_those_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)] + [""]
