"""Prepared studies on disk, so that a second model, or a new version of one, does not repeat the imaging.

A study is found by its content and never by its name. Safe under several writers and under a kill at any moment: a file
appears complete or not at all. No lock is held: the worst that two processes do to each other is to prepare a study twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..imaging import PREPARATION_VERSION
from ..imaging.content import content_sha256
from ..imaging.grid import SLICE_GRID, Grid
from .cache_files import is_leftover, write_entry
from .prepared_entry import MAGIC, DamagedEntry, decode, encode

if TYPE_CHECKING:
    from ..imaging.pipeline import PreparedStudy

logger = logging.getLogger(__name__)

ENTRY = ".prepared"


class PreparedCache:
    """A folder of prepared studies of at most `limit_bytes`; the least recently used ones give way.

    The last use of an entry is the time stamp of its file. A folder that cannot be read or written costs time and no result.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def get(self, content: str, grid: Grid = SLICE_GRID) -> PreparedStudy | None:
        """The study of this content (`content_sha256`, the choice of a series included) on this grid, or None.

        A damaged entry counts as absent and is removed.
        """
        key = _key(content, grid)
        path = self.folder / f"{key}{ENTRY}"
        try:
            study = decode(key, path.read_bytes())
        except FileNotFoundError:
            return None
        except DamagedEntry as damage:
            logger.warning("a damaged entry of the cache of prepared studies was removed: %s", damage)
            _remove(path)
            return None
        except OSError as error:
            logger.warning("the cache of prepared studies cannot be read: %s", error.strerror)
            return None
        with contextlib.suppress(OSError):  # read-only, or removed meanwhile by another process: the study is here all the same
            os.utime(path)
        return study

    def put(self, content: str, study: PreparedStudy, grid: Grid = SLICE_GRID) -> None:
        """Store an accepted study, then remove the least recently used ones above the limit."""
        key = _key(content, grid)
        data = encode(key, study)
        if len(data) > self.limit_bytes:
            return
        try:
            write_entry(self.folder / f"{key}{ENTRY}", data)
            self._tidy()
        except OSError as error:
            logger.warning("a prepared study was not cached: %s", error.strerror)

    def _tidy(self) -> None:
        """Remove what dead writers left, and the least recently used entries until the rest fits.

        Other processes may do the same at the same time; they choose the same files, and one that is gone is as good as removed.
        """
        entries = []
        with os.scandir(self.folder) as found:
            for item in found:
                try:
                    status = item.stat()
                except FileNotFoundError:
                    continue
                if item.name.endswith(ENTRY):
                    entries.append((status.st_mtime_ns, status.st_size, item.path))
                elif is_leftover(item.name, status.st_mtime):
                    _remove(Path(item.path))
        surplus = sum(size for _, size, _ in entries) - self.limit_bytes
        for _, size, path in sorted(entries):
            if surplus <= 0:
                break
            _remove(Path(path))
            surplus -= size


def cached_prepare(
    path: Path,
    series_uid: str | None = None,
    cache: PreparedCache | None = None,
    content: str | None = None,
    grid: Grid = SLICE_GRID,
) -> PreparedStudy:
    """`imaging.pipeline.prepare_study` behind a cache: looked up by content, else prepared and stored.

    `content` is `content_sha256(path, series_uid)` where the caller has it already. Raises what `prepare_study` raises; a refusal is never
    stored. `timing_ms` of a study that was found is {prepared_cache}.
    """
    from ..imaging.pipeline import PreparedStudy, prepare_study

    if cache is None:
        return prepare_study(path, series_uid, grid)
    started = time.perf_counter()
    content = content_sha256(path, series_uid) if content is None else content
    if (found := cache.get(content, grid)) is not None:
        return PreparedStudy(found.prepared, found.quality, {"prepared_cache": round((time.perf_counter() - started) * 1000, 3)})
    study = prepare_study(path, series_uid, grid)
    # A folder that is still being copied changes between the hash and the reading; what was read is then not what was hashed.
    if content_sha256(path, series_uid) == content:
        cache.put(content, study, grid)
    return study


def _key(content: str, grid: Grid) -> str:
    return hashlib.sha256("\n".join((content, PREPARATION_VERSION, repr(grid), MAGIC.hex())).encode()).hexdigest()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("a file of the cache of prepared studies cannot be removed: %s", error.strerror)
