"""Which of the files and folders of a walk are studies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..store.folder import FolderImages
from .walk import File, Folder


class Found(NamedTuple):
    """A study's images; not `settled` while they may still be copied."""

    images: FolderImages
    settled: bool


@dataclass
class _Below:
    """What lies in a folder and in those below it."""

    dicom: set[str]
    patients: set[str | None]
    has_volumes: bool
    settled: bool


def studies_in(folders: Mapping[str, Folder], known: Collection[str] = (), top: str = "") -> list[Found]:
    """The studies of the folders at or below `top`, those in high folders first, then by path.

    `known` are paths of DICOM folders that are registered: such a folder stays one study when a volume file appears in it, and one
    above it does not take its place when other studies go. A folder that holds DICOM files of several patients is no study.
    """
    below = _below(folders)
    parents = {above for path in known for above in _above(path)}
    found: list[Found] = []
    waiting = [top]
    while waiting:
        path = waiting.pop()
        folder, content = folders.get(path), below.get(path)
        if folder is None or content is None:
            continue
        if path and len(content.dicom) == 1 and path not in parents and (not content.has_volumes or path in known):
            (key,) = content.dicom
            patient = next(iter(content.patients)) if len(content.patients) == 1 else None
            found.append(Found(FolderImages(path, "dicom", key, is_folder=True, patient=patient), content.settled))
            continue
        found += [volume_found(path, file, folder.settled or file.is_settled(folder.read_at)) for file in folder.volumes]
        waiting += [_joined(path, name) for name in folder.folders]
    return sorted(found, key=lambda each: (each.images.path.count("/"), each.images.path))


def volume_found(folder: str, file: File, settled: bool) -> Found:
    """A volume file as a study."""
    return Found(FolderImages(_joined(folder, file.name), file.format, f"{file.size}:{file.mtime_ns}"), settled)


def _below(folders: Mapping[str, Folder]) -> dict[str, _Below]:
    below: dict[str, _Below] = {}
    for path in sorted(folders, key=lambda each: each.count("/") + bool(each), reverse=True):
        folder = folders[path]
        content = _Below(set(folder.dicom), set(folder.patients), bool(folder.volumes), folder.settled)
        for name in folder.folders:
            inner = below.get(_joined(path, name))
            if inner is not None:
                # Two are as good as a thousand: the folder is not one study.
                content.dicom |= inner.dicom if len(content.dicom) < 2 else set()
                content.patients |= inner.patients if len(content.patients) < 2 else set()
                content.has_volumes |= inner.has_volumes
                content.settled &= inner.settled
        below[path] = content
    return below


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
