"""Ids from the names of files and folders, which may be anything."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from ...imaging.formats import study_suffix

_LONGEST = 128
_NO_ID = re.compile(r"[^A-Za-z0-9._-]+")


def study_names(path: str, is_folder: bool) -> tuple[str, ...]:
    """Ids that a study at this path may get, best first; the last one belongs to this path alone.

    First its own name, then with the folders above it (`ward-b-patient-1`), then with its suffix (`scan-nrrd`), then with a hash.
    """
    *folders, name = path.split("/")
    suffix = "" if is_folder else study_suffix(name) or ""
    stem = name[: len(name) - len(suffix)]
    wanted = ["-".join([*folders[len(folders) - above :], stem]) for above in range(len(folders) + 1)]
    if suffix:
        wanted.append("-".join([*folders, stem]) + suffix.replace(".", "-"))
    names = [cleaned for each in wanted if (cleaned := _cleaned(each))]
    return (*dict.fromkeys(names), _with_hash(names[0] if names else "study", path))


def _cleaned(name: str) -> str:
    """The name as an id: accents go, what else no id has becomes an underscore; empty where nothing remains, cut where too long."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() if not name.isascii() else name
    cleaned = re.sub(r"^[^A-Za-z0-9]+", "", _NO_ID.sub("_", plain))
    return cleaned if len(cleaned) <= _LONGEST else _with_hash(cleaned, name)


def _with_hash(name: str, path: str) -> str:
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}-{digest}"
