"""What a walk changes in the registry: studies that came, moved, came back or went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...imaging.formats import study_suffix
from ..store.folder import FolderImages, FolderStudy
from .look import Found
from .walk import Walk

# More than half of at least so many studies do not go in five seconds; a file system does.
_MANY = 20


@dataclass
class Changes:
    """What is to be written; `held` went away in a way that looks like an outage, and stay registered."""

    new: list[FolderImages] = field(default_factory=list)
    moved: list[tuple[str, FolderImages]] = field(default_factory=list)
    gone: list[FolderStudy] = field(default_factory=list)
    held: list[FolderStudy] = field(default_factory=list)


def compare(found: Sequence[Found], studies: Sequence[FolderStudy], walk: Walk, accept_missing: bool = False) -> Changes:
    """The changes that bring the registry in step with what was found.

    A path that is registered keeps its id. Images at a new path are those of a study that went away if they have its fingerprint
    and, for a file, its name; or if they are a file of the same name and folder with another suffix. Everything else that is new is a
    new study: the readings of one patient must never be shown with the images of another. Images that are not settled wait for the
    next walk. Nothing goes where a folder could not be read, nor, unless `accept_missing`, where a folder stands empty or most went.
    """
    changes = Changes()
    registered = {study.path: study for study in studies}
    there = {each.images.path for each in found}
    lost = [study for study in studies if study.path not in there and not walk.is_unread(study.path)]
    successors = _successors([each.images for each in found if each.images.path not in registered], lost)
    followed = {study.study for study in successors.values()}
    for each in found:
        images, known = each.images, registered.get(each.images.path)
        if known is not None:
            is_known = (known.format, known.fingerprint, known.present) == (images.format, images.fingerprint, True)
            # Releases before this one noted no patients.
            if not is_known or (images.patient is not None and not known.has_patient):
                changes.moved.append((known.study, images))
        elif images.path in successors:
            changes.moved.append((successors[images.path].study, images))
        elif each.settled:
            changes.new.append(images)
    went = [study for study in lost if study.present and study.study not in followed]
    present = sum(study.present for study in studies)
    outage = len(went) >= _MANY and 2 * len(went) > present
    for study in went:
        held = not accept_missing and (outage or walk.is_emptied(study.path))
        (changes.held if held else changes.gone).append(study)
    return changes


def _successors(new: Iterable[FolderImages], lost: Iterable[FolderStudy]) -> dict[str, FolderStudy]:
    """{path: the study that was moved there}, only where both sides leave no other choice."""
    by_fingerprint: dict[object, list[FolderStudy]] = defaultdict(list)
    by_stem: dict[str, list[FolderStudy]] = defaultdict(list)
    for study in lost:
        if study.fingerprint is not None:
            by_fingerprint[_moving_key(study.path, study.fingerprint)].append(study)
        if (stem := _stem(study.path)) is not None:
            by_stem[stem].append(study)
    claims: dict[str, list[tuple[str, FolderStudy]]] = defaultdict(list)
    for images in new:
        same = by_fingerprint.get(_moving_key(images.path, images.fingerprint)) or by_stem.get(_stem(images.path) or "", [])
        if len(same) == 1:
            claims[same[0].study].append((images.path, same[0]))
    return {path: study for claim in claims.values() if len(claim) == 1 for path, study in claim}


def _moving_key(path: str, fingerprint: str | None) -> tuple[str, str | None]:
    """A file is known by name, size and time; a DICOM study by its UID, whatever its folder is called."""
    name = path.rpartition("/")[2]
    return ("" if _stem(path) is None or ":" not in (fingerprint or "") else name, fingerprint)


def _stem(path: str) -> str | None:
    """The path of a volume file without its suffix; None for a folder."""
    suffix = study_suffix(path)
    return None if suffix is None else path[: -len(suffix)]
