"""Files that a crash, a full disk or a second Slicer cannot leave half written."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any


def private_folder(folder: Path) -> Path:
    """The folder, made if need be; only its owner may look into it, since calls on patients' studies lie there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def write_json(path: Path, document: Any) -> None:
    """Writes a document so that it appears whole, and is on the disk when this returns. Raises OSError."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def append_json(path: Path, document: Any) -> None:
    """Adds one line to a file, on the disk when this returns; a line that a crash has cut off is closed first. Raises OSError."""
    line = json.dumps(document).encode() + b"\n"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb+", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The documents of a file of lines; what is damaged or cut off is passed over."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    documents = []
    for line in content.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            documents.append(document)
    return documents
