"""Images that come from another folder: registered where they lie, or copied and compared; never moved, never replaced."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import HeadCTError, InvalidRequest
from ...hashing import file_sha256
from ...imaging.formats import FORMATS, STUDY_SUFFIXES
from ...output import replacing
from ..store import StudyImages, StudyStore
from .monai_label_folder import FolderImage

PIECE_BYTES = 4_000_000


@dataclass(frozen=True)
class _Taken:
    image: FolderImage
    target: Path
    how: str  # registered, copied, already


class Images:
    """Images that are about to come to a studies folder; what stands against it is found before anything is copied."""

    def __init__(self, store: StudyStore, studies: Path, images: list[FolderImage]) -> None:
        """Raises InvalidRequest `study_exists` where a study of the same id has other images, `no_disk_space`; OSError."""
        self._store = store
        self._studies = studies.resolve()
        self.count = len(images)
        self._taken = [self._plan(image) for image in images]
        self._check_space()

    def take(self, dry_run: bool, done: Callable[[int], object]) -> Counter[str]:
        """Copies what is to be copied, registers all and counts them by how they came. Raises HeadCTError `copy_differs`, OSError."""
        if not dry_run:
            for taken in self._taken:
                if taken.how == "copied":
                    _copy(taken.image.path, taken.target)
                done(1)
            self._store.studies.register(
                StudyImages(taken.image.image_id, taken.target.relative_to(self._studies).as_posix(), FORMATS[taken.image.suffix])
                for taken in self._taken
            )
        return Counter(taken.how for taken in self._taken)

    def _plan(self, image: FolderImage) -> _Taken:
        here = image.path.resolve()
        if here.is_relative_to(self._studies):
            known = self._store.studies.images(image.image_id)
            same = known is not None and (self._studies / known.path).resolve() == here
            return _Taken(image, here, "already" if same else "registered")
        target = self._studies / f"{image.image_id}{image.suffix}"
        there = [path for path in (*self._places(image.image_id), self._studies / image.image_id) if path.exists()]
        if not there:
            return _Taken(image, target, "copied")
        if there == [target] and target.stat().st_size == here.stat().st_size and file_sha256(target) == file_sha256(here):
            return _Taken(image, target, "already")
        message = f"The studies folder has other images of {image.image_id}. Rename the one or the other; nothing was imported."
        raise InvalidRequest("study_exists", message, field="study", status=409)

    def _places(self, study: str) -> list[Path]:
        """Where the images of a study may lie: by any suffix in the folder, or where the store knows them."""
        known = self._store.studies.images(study)
        places = {self._studies / f"{study}{suffix}" for suffix in STUDY_SUFFIXES}
        return sorted(places if known is None else places | {self._studies / known.path})

    def _check_space(self) -> None:
        needed = sum(taken.image.path.stat().st_size for taken in self._taken if taken.how == "copied")
        if needed == 0:
            return
        self._studies.mkdir(parents=True, exist_ok=True)
        if needed > shutil.disk_usage(self._studies).free:
            message = f"The images need {needed / 1e9:.1f} GB, and the disk of the studies folder has less. Nothing was imported."
            raise InvalidRequest("no_disk_space", message, field="studies")


def _copy(source: Path, target: Path) -> None:
    """A copy that appears whole, after it was read back from its file and compared."""
    with replacing(target) as partial:
        digest = hashlib.sha256()
        with source.open("rb") as original, partial.open("wb") as copy:
            while piece := original.read(PIECE_BYTES):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        if file_sha256(partial) != digest.hexdigest():
            message = f"The copy of {source.name} differs from the original. Check the disk, and import again."
            raise HeadCTError("copy_differs", message, status=500)
