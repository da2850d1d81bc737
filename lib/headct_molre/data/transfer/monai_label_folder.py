"""What a folder of MONAI Label's LocalDatastore holds: images, labels by tag, and the notes of `datastore_v2.json` on them.

The folder is what counts. The index is read for what clients said of their labels; MONAI Label writes it in place, so that a killed server
may have left half of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ...errors import InvalidRequest, NotFound
from ...imaging.formats import study_suffix

INDEX = "datastore_v2.json"


@dataclass(frozen=True)
class FolderImage:
    """An image under MONAI Label's id for it."""

    image_id: str
    path: Path
    suffix: str


@dataclass(frozen=True)
class FolderLabel:
    """A label file of an image; `info` is what the index says of it."""

    image_id: str
    tag: str
    path: Path
    info: dict[str, Any]


@dataclass
class LabelFolder:
    """Images and labels; `index` is "read", "damaged" or "missing"."""

    index: str
    images: list[FolderImage] = field(default_factory=list)
    labels: list[FolderLabel] = field(default_factory=list)


class _Data(BaseModel):
    ext: str = ""
    info: dict[str, Any] = {}


class _Object(BaseModel):
    image: _Data = _Data()
    labels: dict[str, _Data] = {}


class _Index(BaseModel):
    images_dir: str = "."
    labels_dir: str = "labels"
    objects: dict[str, _Object] = {}


def read_label_folder(folder: Path) -> LabelFolder:
    """Looks through the folder. Raises NotFound `folder_missing`, InvalidRequest `not_a_label_folder` or `unsafe_name`, OSError."""
    if not folder.is_dir():
        raise NotFound("folder_missing", f"There is no folder {folder}.", field="path")
    state, index = _read_index(folder / INDEX)
    images, labels = _inside(folder, index.images_dir), _inside(folder, index.labels_dir)
    if state == "missing" and not labels.is_dir():
        raise InvalidRequest("not_a_label_folder", f"{folder} has neither {INDEX} nor a folder labels. Name MONAI Label's studies folder.")
    found = LabelFolder(state)
    for path in _files(images):
        if (suffix := study_suffix(path.name)) is not None:
            found.images.append(FolderImage(path.name[: -len(suffix)], path, suffix))
    noted = _noted(index)
    for tag in sorted(path for path in labels.iterdir() if path.is_dir()) if labels.is_dir() else []:
        _contained(folder, tag)
        for path in _files(tag):
            image_id, info = noted.get((tag.name, path.name), (_image_id(path.name), {}))
            found.labels.append(FolderLabel(image_id, tag.name, path, info))
    for path in (*(image.path for image in found.images), *(label.path for label in found.labels)):
        _contained(folder, path)
    return found


def _read_index(path: Path) -> tuple[str, _Index]:
    try:
        return "read", _Index.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return "missing", _Index()
    except ValidationError:
        return "damaged", _Index()


def _noted(index: _Index) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """{(tag, file name): (id, info)}. Raises InvalidRequest `unsafe_name` for an entry that would name a file elsewhere."""
    noted = {}
    for image_id, entry in index.objects.items():
        _check_name(image_id + entry.image.ext)
        for tag, label in entry.labels.items():
            _check_name(tag)
            _check_name(image_id + label.ext)
            noted[tag, image_id + label.ext] = (image_id, label.info)
    return noted


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise _unsafe()
    return _contained(folder, path)


def _contained(folder: Path, path: Path) -> Path:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _unsafe()
    return path


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise _unsafe()


def _unsafe() -> InvalidRequest:
    message = f"A name in {INDEX}, or a link in the folder, leads out of the folder. Remove it; nothing was imported."
    return InvalidRequest("unsafe_name", message, field="path")


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder, sorted; hidden ones are MONAI Label's own."""
    yield from sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file()) if folder.is_dir() else ()


def _image_id(name: str) -> str:
    """The id that a label's file was named by, where the index does not say."""
    suffix = study_suffix(name) or Path(name).suffix
    return name[: -len(suffix)] if suffix else name
