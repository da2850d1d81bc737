"""A file that gives only so much: format libraries read through it what they would otherwise read without end."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from ..errors import StudyRefused

# Libraries look for up to 132 bytes that may not be there, as at the end of a file; more is the value of an element.
LONGEST_PROBE = 132


class BoundedFile:
    """A binary file that ends the reading of a header which claims or holds too much.

    `max_bytes` and `max_reads` bound all reads together; `ask_for_rest` allows reading without a size. Raises StudyRefused
    `header_too_large` beyond them, `damaged_file` for a step past the end of the file, which an element with a wrong length
    causes, and `compressed` for reading without a size: so pydicom begins to inflate a file that is deflated as a whole.
    """

    def __init__(self, path: Path, max_bytes: int, max_reads: int, ask_for_rest: bool = False) -> None:
        self._file = path.open("rb")
        self._size = os.fstat(self._file.fileno()).st_size
        self._bytes, self._reads, self._ask_for_rest = max_bytes, max_reads, ask_for_rest
        self.tell = self._file.tell

    def __enter__(self) -> BoundedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer at the end of the file."""
        if size < 0 and not self._ask_for_rest:
            raise StudyRefused("compressed", "A DICOM file is deflated as a whole, header included. Export it uncompressed.")
        wanted = self._size if size < 0 else size
        data = self._file.read(min(wanted, self._bytes + 1))
        self._bytes -= len(data)
        self._reads -= 1
        if LONGEST_PROBE < size <= self._bytes + len(data) and len(data) < size:
            raise _too_long()
        if self._bytes < 0 or self._reads < 0:
            raise StudyRefused("header_too_large", "The header of a file in this study is larger than any image needs. Export it again.")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = self._file.seek(offset, whence)
        if position > self._size:
            raise _too_long()
        return position

    def seekable(self) -> bool:
        return True


def _too_long() -> StudyRefused:
    return StudyRefused("damaged_file", "An element of a file claims to be longer than the file. Export the study again.")
