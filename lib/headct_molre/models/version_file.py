"""A version as one file, to be carried to another site: a zip of its parts with their hashes, checked whole before it counts."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import zipfile
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from .. import __version__
from ..errors import InvalidRequest, ModelUnavailable, NotFound
from ..hashing import file_sha256
from ..output import replacing
from ..schema import Contract, ModelCard, Name
from .backbones import backbone_names
from .checkpoint import CARD, SOURCE_SET, WEIGHTS, version_folder
from .locations import home
from .versions import card_of, find_version, gate_folder
from .weights import tensor_names

MANIFEST = "manifest.json"
REPORTS = ("gate.json", "gate.html")
TENSORS = (WEIGHTS, SOURCE_SET)
# Everything but the tensors is text that a person could read.
LARGEST_TEXT = 32 * 2**20
LARGEST_TENSORS = 8 * 2**30
PIECE = 2**20
# The same version makes the same file, whenever it is exported.
TIME = (1980, 1, 1, 0, 0, 0)


class FileEntry(Contract):
    """Size and hash of one file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class VersionManifest(Contract):
    """What a version file holds (`headct.version/1`)."""

    schema_: Literal["headct.version/1"] = Field("headct.version/1", alias="schema")
    name: Name
    version: Name
    software: str
    files: dict[str, FileEntry]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())


def export_version(model: str, version: str, path: Path) -> VersionManifest:
    """Write a version, with the gate's report where there is one, into one zip, whole or not at all; the same version, the same bytes.

    Raises NotFound, and ModelUnavailable where its files do not fit their hashes.
    """
    folder = find_version(model, version)
    card = card_of(folder)
    sources = {WEIGHTS: folder / WEIGHTS, CARD: folder / CARD}
    for name in REPORTS:
        found = next((place / name for place in (gate_folder(model, version), folder) if (place / name).is_file()), None)
        sources |= {} if found is None else {name: found}
    if card.source_sha256 is not None:
        sources[SOURCE_SET] = folder / SOURCE_SET
    entries = {name: FileEntry(bytes=source.stat().st_size, sha256=file_sha256(source)) for name, source in sources.items()}
    if entries[WEIGHTS].sha256 != card.weights_sha256:
        raise ModelUnavailable("damaged_model", f"The weights of {model} {version} differ from their recorded hash. Restore them.")
    if card.source_sha256 is not None and entries[SOURCE_SET].sha256 != card.source_sha256:
        raise ModelUnavailable("damaged_model", f"The source set of {model} {version} differs from its recorded hash. Restore it.")
    manifest = VersionManifest(name=model, version=version, software=f"headct-molre {__version__}", files=entries)
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, TIME), manifest.model_dump_json(by_alias=True, indent=1))
        for name, source in sources.items():
            with source.open("rb") as file, archive.open(zipfile.ZipInfo(name, TIME), "w", force_zip64=True) as target:
                shutil.copyfileobj(file, target, PIECE)
    return manifest


def import_version(path: Path) -> ModelCard:
    """Put the version of a file beside those that are there; no alias moves, and no version is ever replaced.

    Raises InvalidRequest for a file that is no version file, or holds anything but what its manifest says; NotFound for an unknown model;
    ModelUnavailable where a version of that name is there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(info.header_offset < 0 for info in archive.infolist()):  # the module would seek there
                raise zipfile.BadZipFile
            manifest = _read_manifest(archive)
            _check_entries(archive, manifest)
            return _unpack(archive, manifest)
    # The zip module has no error of its own for much of what a damaged file makes it do.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error) as error:
        raise _invalid(f"{path.name} is damaged or no version file ({type(error).__name__})") from None


def _read_manifest(archive: zipfile.ZipFile) -> VersionManifest:
    names = archive.namelist()
    if len(set(names)) != len(names) or not set(names) <= {MANIFEST, *TENSORS, CARD, *REPORTS}:
        raise _invalid("It holds files that no version has")
    if MANIFEST not in names or archive.getinfo(MANIFEST).file_size > LARGEST_TEXT:
        raise _invalid(f"It has no {MANIFEST}")
    try:
        return VersionManifest.model_validate_json(archive.read(MANIFEST))
    except ValidationError as error:
        raise _invalid(f"Its {MANIFEST} is not valid: {error.errors()[0]['msg']}") from None


def _check_entries(archive: zipfile.ZipFile, manifest: VersionManifest) -> None:
    """The zip holds exactly the files of its manifest, none compressed, none larger than it may be."""
    if not {WEIGHTS, CARD} <= set(manifest.files) or {MANIFEST, *manifest.files} != set(archive.namelist()):
        raise _invalid(f"It does not hold the files that its {MANIFEST} names")
    for name, entry in manifest.files.items():
        info = archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != entry.bytes or info.flag_bits & 1:
            raise _invalid(f"{name} does not have the size that the {MANIFEST} names")
        if entry.bytes > (LARGEST_TENSORS if name in TENSORS else LARGEST_TEXT):
            raise _invalid(f"{name} is larger than a version's may be")


def _unpack(archive: zipfile.ZipFile, manifest: VersionManifest) -> ModelCard:
    if manifest.name not in backbone_names():
        message = f"There is no model {manifest.name!r} here; there are {', '.join(backbone_names())}."
        raise NotFound("unknown_model", message, field="file")
    if version_folder(manifest.name, manifest.version) is not None:
        raise _exists(manifest)
    folder = home() / "models" / manifest.name
    partial = folder / f".partial-{os.getpid()}-{manifest.version}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, entry in manifest.files.items():
            with archive.open(name) as source, (partial / name).open("wb") as target:
                if _copy(source, target, entry.bytes) != entry.sha256:
                    raise _invalid(f"{name} does not have the hash that the {MANIFEST} names")
        card = _checked_card(partial, manifest)
        try:
            os.rename(partial, folder / manifest.version)
        except OSError:  # another import of the same version was faster
            raise _exists(manifest) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return card


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> str:
    """Copy up to `limit` bytes to the disk and return their hash."""
    digest = hashlib.sha256()
    while limit > 0 and (piece := source.read(min(PIECE, limit))):
        digest.update(piece)
        target.write(piece)
        limit -= len(piece)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


def _checked_card(partial: Path, manifest: VersionManifest) -> ModelCard:
    try:
        card = ModelCard.model_validate_json((partial / CARD).read_bytes())
    except ValidationError as error:
        raise _invalid(f"Its {CARD} is not valid: {error.errors()[0]['msg']}") from None
    if (card.name, card.version, card.weights_sha256) != (manifest.name, manifest.version, manifest.files[WEIGHTS].sha256):
        raise _invalid(f"Its {CARD} is of another version than its {MANIFEST} says")
    if card.source_sha256 != (manifest.files[SOURCE_SET].sha256 if SOURCE_SET in manifest.files else None):
        raise _invalid(f"It does not hold the source set that its {CARD} names")
    if card.backbone not in backbone_names():
        raise _invalid(f"Its backbone {card.backbone!r} is not known here")
    try:
        for name in TENSORS:
            if name in manifest.files:
                tensor_names(partial / name)  # refuses a pickle, and what is no safetensors
    except ModelUnavailable as error:
        raise _invalid(f"Its tensors cannot be read: {error.message.rstrip('.')}") from None
    return card


def _invalid(problem: str) -> InvalidRequest:
    message = f"{problem}. Export the version again with headct-molre models export."
    return InvalidRequest("invalid_version_file", message, field="file")


def _exists(manifest: VersionManifest) -> ModelUnavailable:
    message = f"Version {manifest.version} of {manifest.name} exists and versions are never changed."
    return ModelUnavailable("version_exists", message)
