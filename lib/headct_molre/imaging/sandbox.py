"""Compressed DICOM pixels, decoded in a process of its own: a C library that fails takes no server with it.

The process gets the places of the frames and a limit on memory and time, and leaves one .npy file. One process decodes a study.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..errors import StudyRefused
from .limits import DECODER_MEMORY_BYTES, DECODER_SECONDS, DECODER_SECONDS_PER_SLICE

DECODER = Path(__file__).with_name("decoder.py")
# What the decoder ends with; anything else is a crash.
DONE, CANNOT_DECODE, NO_MEMORY = 0, 3, 4


@dataclass(frozen=True)
class Frame:
    """One compressed image: its file, its number in it, and the matrix and sample type that its header names."""

    path: str
    frame: int
    rows: int
    columns: int
    dtype: str


@contextmanager
def decoded(frames: Sequence[Frame], method: str) -> Iterator[np.ndarray]:
    """The stored values (n, rows, columns) of `frames`, which share their matrix; mapped from a file that goes with the `with`.

    `method` names the compression in a refusal. Raises StudyRefused `compressed` (no such decoder, or damaged data),
    `decoder_memory`, `decoder_timeout`, `decoder_crashed`.
    """
    if not frames:
        yield np.empty((0, 0, 0))
        return
    with tempfile.TemporaryDirectory(prefix="headct-") as folder:
        result = Path(folder) / "frames.npy"
        seconds = DECODER_SECONDS + DECODER_SECONDS_PER_SLICE * len(frames)
        request = {"frames": [asdict(frame) for frame in frames], "result": str(result), "memory": DECODER_MEMORY_BYTES, "seconds": seconds}
        try:
            # -P: the folder of the script must not hide the modules of others. What a codec prints may quote the images.
            done = subprocess.run(
                [sys.executable, "-P", str(DECODER)],
                input=json.dumps(request).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _timeout() from None
        _check(done.returncode, method)
        slices = np.load(result, mmap_mode="r", allow_pickle=False)
        try:
            yield slices
        finally:
            del slices  # Windows keeps a mapped file in its folder


def _check(status: int, method: str) -> None:
    if status == DONE:
        return
    if status == CANNOT_DECODE:
        raise StudyRefused(
            "compressed",
            f"The images are compressed ({method}) and cannot be decoded: damaged, or no decoder. Export them uncompressed.",
        )
    if status == NO_MEMORY:
        raise StudyRefused("decoder_memory", "The compressed pixels of this study claim too much memory. Export them uncompressed.")
    if status == -getattr(signal, "SIGXCPU", 0):
        raise _timeout()
    raise StudyRefused("decoder_crashed", "The decoder broke down on the compressed pixels of this study. Export them uncompressed.")


def _timeout() -> StudyRefused:
    return StudyRefused("decoder_timeout", "Decoding the compressed pixels of this study takes too long. Export them uncompressed.")
