"""The files of a study: one bounded walk for the content hash, the DICOM headers and the volume files alike."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import NotFound, StudyRefused
from .limits import MAX_FILES, MAX_FOLDER_DEPTH, MAX_STUDY_BYTES


def study_files(path: Path) -> list[Path]:
    """All regular files at or below `path`, sorted; nothing is opened.

    Links that stay inside the study are left out, since what they lead to is found anyway. Raises NotFound for a missing
    path; StudyRefused `link_outside`, `special_file` (a pipe, socket or device), `too_many_files`, `nested_too_deep`,
    `too_large` (bytes in all), `not_readable`.
    """
    root = Path(path)
    try:
        mode = root.stat().st_mode
    except FileNotFoundError:
        raise _not_found() from None
    except (OSError, ValueError) as error:  # a loop of links, no permission, a name with a zero byte
        raise not_readable() from error
    if not stat.S_ISDIR(mode):
        _check_regular(mode)
        _check_bytes(root.stat().st_size)
        return [root]
    try:
        return sorted(_walk(root))
    except OSError as error:
        raise not_readable() from error


def _walk(root: Path) -> list[Path]:
    inside = os.path.realpath(root) + os.sep
    files: list[Path] = []
    waiting = [(str(root), 0)]
    seen = total = 0
    while waiting:
        folder, depth = waiting.pop()
        if depth > MAX_FOLDER_DEPTH:
            raise StudyRefused("nested_too_deep", f"The study has more than {MAX_FOLDER_DEPTH} folders inside each other. Send one series.")
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_FILES:
                    raise StudyRefused(
                        "too_many_files", f"The folder holds more than {MAX_FILES} files and folders. Send one study, or one series of it."
                    )
                if entry.is_symlink():
                    if not (os.path.realpath(entry.path) + os.sep).startswith(inside):
                        raise StudyRefused("link_outside", "The folder holds a link that leads out of it. Copy the files themselves.")
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
                else:
                    status = entry.stat(follow_symlinks=False)
                    _check_regular(status.st_mode)
                    total += status.st_size
                    _check_bytes(total)
                    files.append(Path(entry.path))
    return files


def _check_regular(mode: int) -> None:
    # Opening a pipe would wait for ever, and a device may have side effects.
    if not stat.S_ISREG(mode):
        raise StudyRefused("special_file", "The study holds a pipe, a socket or a device. Send plain files only.")


def _check_bytes(total: int) -> None:
    if total > MAX_STUDY_BYTES:
        raise StudyRefused("too_large", f"The study holds more than {MAX_STUDY_BYTES / 1e9:.0f} GB. Send one series of the head.")


def _not_found() -> NotFound:
    return NotFound("study_not_found", "There is no file or folder at this path.", field="path")


def not_readable() -> StudyRefused:
    """The refusal of what exists and cannot be opened."""
    return StudyRefused("not_readable", "A file or folder of this study cannot be opened. Check its permissions and links.")
