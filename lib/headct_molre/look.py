"""A look at what a model reads: a study in, a PNG and the gate's verdict out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .data.prepared_cache import PreparedCache, cached_prepare
from .errors import StudyRefused
from .imaging.montage import prepared_picture, refused_picture
from .imaging.read import read_study
from .schema import Quality


@dataclass(frozen=True)
class Look:
    """A picture (PNG) and what the gate said: `quality` of an accepted study of `slices` model slices, or why it was refused."""

    png: bytes
    slices: int = 0
    quality: Quality | None = None
    refusal: StudyRefused | None = None


def look(path: Path, series_uid: str | None = None, cache: PreparedCache | None = None) -> Look:
    """Draw the study at `path` as the models read it; one that is refused after it could be read, as it lay in the scanner.

    Raises what `read_study` raises: without a volume there is nothing to draw.
    """
    try:
        study = cached_prepare(path, series_uid, cache)
    except StudyRefused as refusal:
        volume = read_study(path, series_uid)
        return Look(refused_picture(volume, refusal), refusal=refusal)
    return Look(prepared_picture(study.prepared, study.quality), len(study.prepared.hu), study.quality)
