"""The backup archive (`headct.backup/1`): a zip of one JSON-lines file for each table, model versions, and a manifest with all hashes."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, cast

from pydantic import ConfigDict, Field, ValidationError

from ...errors import HeadCTError, InvalidRequest, NotFound, StudyRefused
from ...imaging.bounded import BoundedFile
from ...schema import Contract

MANIFEST = "manifest.json"
MOST_MEMBERS = 5_000
MOST_MANIFEST_BYTES, MOST_LINE_BYTES, MOST_DIRECTORY_BYTES = 4_000_000, 16_000_000, 4_000_000
# Rows that differ by their ids alone shrink to a sixtieth, zeros to a thousandth.
MOST_RATIO, FREE_OF_RATIO = 200, 50_000_000
PIECE_BYTES = 1_000_000
_TABLE = re.compile(r"tables/([a-z][a-z_]{0,62})\.jsonl")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_MODEL = re.compile(rf"models/{_NAME}/(aliases\.json|{_NAME}/{_NAME}\.(json|safetensors))")

Count = Annotated[int, Field(ge=0)]


class Member(Contract):
    """A file of the archive; `rows` of a table."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Count | None = None


class BackupManifest(Contract):
    """What a backup holds: `revision` is the schema's, `left_out` the tables that were there and are not in it."""

    schema_: Literal["headct.backup/1"] = Field("headct.backup/1", alias="schema")
    created: str
    release: str
    database: str
    revision: str
    members: dict[str, Member]
    left_out: list[str]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    def rows(self) -> dict[str, int]:
        """{table: rows}."""
        return {match[1]: self.members[name].rows or 0 for name in self.members if (match := _TABLE.fullmatch(name))}

    def model_files(self) -> list[str]:
        """The members that belong to model versions."""
        return [name for name in self.members if is_model_member(name)]


def table_member(table: str) -> str:
    """Where a table lies in the archive."""
    return f"tables/{table}.jsonl"


def is_model_member(name: str) -> bool:
    """Whether a member belongs to a model version."""
    return _MODEL.fullmatch(name) is not None


class ArchiveWriter:
    """Writes members one after the other and notes what they are."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.members: dict[str, Member] = {}

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, pieces: Iterable[bytes], are_rows: bool = False) -> None:
        """Add a member of any length. Raises OSError."""
        digest, size, number = hashlib.sha256(), 0, 0
        with self._zip.open(name, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                number += 1
        self.members[name] = Member(bytes=size, sha256=digest.hexdigest(), rows=number if are_rows else None)

    def finish(self, manifest: BackupManifest) -> None:
        """Write the manifest, without which the archive is none."""
        self._zip.writestr(MANIFEST, manifest.model_dump_json(by_alias=True, indent=1))


class Backup:
    """An archive whose list of contents was checked; its contents are checked by `verify`."""

    def __init__(self, archive: zipfile.ZipFile, manifest: BackupManifest) -> None:
        self._zip = archive
        self.manifest = manifest

    def verify(self, done: Callable[[int], object] = lambda _: None) -> None:
        """Read everything once; `done` is told how many bytes. Raises InvalidRequest `archive_damaged` where a hash or a count differs."""
        for name, member in self.manifest.members.items():
            digest, rows = hashlib.sha256(), 0
            for piece in self.lines(name) if member.rows is not None else self.pieces(name):
                digest.update(piece)
                rows += 1
                done(len(piece))
            if digest.hexdigest() != member.sha256 or rows != (rows if member.rows is None else member.rows):
                raise damaged(f"{name} is not what its manifest says")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member, with their ends."""
        with translated(), self._zip.open(name) as file:
            while line := file.readline(MOST_LINE_BYTES + 1):
                if len(line) > MOST_LINE_BYTES:
                    raise damaged(f"a line of {name} is longer than any row")
                yield line

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a member."""
        with translated(), self._zip.open(name) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


@contextmanager
def opened_backup(path: Path) -> Iterator[Backup]:
    """The archive, its names and sizes checked before anything is unpacked.

    Raises NotFound `archive_missing`, InvalidRequest `archive_damaged`, `not_a_backup`, `unsafe_archive` or `decompression_bomb`.
    """
    if not path.is_file():
        raise NotFound("archive_missing", f"There is no backup {path}.", field="archive")
    with translated():
        _probe(path)
        archive = zipfile.ZipFile(path)
    with archive:
        with translated():
            entries = {entry.filename: entry for entry in archive.infolist()}
            if len(entries) < len(archive.infolist()):
                raise _unsafe("holds one file name twice")
            _check_sizes(list(entries.values()), path.stat().st_size)
            manifest = _manifest(archive, entries)
        if entries.keys() - {MANIFEST} != manifest.members.keys():
            raise damaged("its files are not those of its manifest")
        for name, member in manifest.members.items():
            if entries[name].file_size != member.bytes:
                raise damaged(f"{name} is not what its manifest says")
        yield Backup(archive, manifest)


def damaged(what: str) -> InvalidRequest:
    """The refusal of an archive that was cut or changed."""
    return InvalidRequest("archive_damaged", f"The backup is damaged: {what}. Nothing was restored; use another copy.", field="archive")


@contextmanager
def translated() -> Iterator[None]:
    """Raises InvalidRequest `archive_damaged` for what a broken zip makes Python raise, which are many types."""
    try:
        yield
    except (HeadCTError, GeneratorExit):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise damaged("the zip file cannot be read") from error


def _probe(path: Path) -> None:
    # Python reads the whole list of contents before it can be asked how long it is.
    with BoundedFile(path, MOST_DIRECTORY_BYTES, max_reads=10_000, ask_for_rest=True) as probe:
        try:
            zipfile.ZipFile(cast(BinaryIO, probe))
        except StudyRefused:
            raise _unsafe("lists more files than a backup has") from None
        except zipfile.BadZipFile:
            raise damaged("it is no whole zip file") from None


def _check_sizes(entries: list[zipfile.ZipInfo], archive_bytes: int) -> None:
    if len(entries) > MOST_MEMBERS:
        raise _unsafe("lists more files than a backup has")
    for entry in entries:
        if entry.filename != MANIFEST and not _TABLE.fullmatch(entry.filename) and not is_model_member(entry.filename):
            raise _unsafe("holds a file that no backup has")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
            raise _unsafe("holds a link, a device or an encrypted file")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _unsafe("is packed by a rare method")
    total = sum(entry.file_size for entry in entries)
    if total > FREE_OF_RATIO and total > MOST_RATIO * archive_bytes:
        message = "The backup unpacks to more than any store's rows would. Nothing was restored; use another copy."
        raise InvalidRequest("decompression_bomb", message, field="archive")


def _manifest(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> BackupManifest:
    if MANIFEST not in entries:
        raise InvalidRequest("not_a_backup", "The zip file is no backup of a store; make one with headct-molre backup.", field="archive")
    if entries[MANIFEST].file_size > MOST_MANIFEST_BYTES:
        raise damaged("its manifest is too long")
    try:
        return BackupManifest.model_validate_json(archive.read(MANIFEST))
    except ValidationError:
        raise InvalidRequest(
            "not_a_backup", "The manifest of the backup is not one that this release knows; use the release that wrote it.", field="archive"
        ) from None


def _unsafe(reason: str) -> InvalidRequest:
    return InvalidRequest("unsafe_archive", f"The backup {reason}. Nothing was restored; use another copy.", field="archive")
