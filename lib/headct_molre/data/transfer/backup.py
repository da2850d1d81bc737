"""Backup: the whole store, as it was at one moment, in one file that either database takes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ... import __version__
from ...errors import HeadCTError, InvalidRequest
from ...output import check_output, written_whole
from ..store.migrate import is_known, revision_of
from .archive import PIECE_BYTES, ArchiveWriter, BackupManifest, table_member
from .model_files import model_files
from .rows import lines, stored_tables
from .snapshot import existing_store, snapshot

PREDICTIONS = ("predictions", "summaries")


def back_up(
    url: str, path: Path, *, predictions: bool = True, home: Path | None = None, done: Callable[[int], object] = lambda _: None
) -> BackupManifest:
    """Write a backup that appears complete or not at all, while servers go on writing to the store.

    Without `predictions` the largest tables are left out, which can be made again. With `home`, the trained versions in that folder come
    with it. `done` is told how many rows and pieces were written. A store of an older release is backed up as it is. Raises
    InvalidRequest `file_exists`, NotFound `store_missing`, HeadCTError `store_empty` or `store_newer`, StoreUnavailable, OSError.
    """
    check_output(path, "out")
    if path.exists():
        raise InvalidRequest(
            "file_exists", f"{path} exists, and a backup overwrites nothing. Choose another name.", field="out", status=409
        )
    database = existing_store(url)
    try:
        with snapshot(database) as connection:
            revision = revision_of(connection)
            if revision is None:
                raise HeadCTError("store_empty", "The store has no tables yet, so there is nothing to back up.", status=409)
            if not is_known(revision):
                raise HeadCTError("store_newer", f"The store is of a newer release (schema {revision}). Use that release.", status=409)
            tables = stored_tables(connection)
            left_out = [] if predictions else [name for name in tables if name in PREDICTIONS]
            files = {} if home is None else model_files(home)
            with written_whole(path) as partial, ArchiveWriter(partial) as writer:
                for name, table in tables.items():
                    if name not in left_out:
                        writer.add(table_member(name), _counted(lines(connection, table), done), are_rows=True)
                for name, file in files.items():
                    writer.add(name, _counted(_pieces(file), done))
                manifest = BackupManifest(
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    release=__version__,
                    database=connection.dialect.name,
                    revision=revision,
                    members=writer.members,
                    left_out=left_out,
                )
                writer.finish(manifest)
        return manifest
    finally:
        database.close()


def _counted(pieces: Iterator[bytes], done: Callable[[int], object]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        done(1)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
