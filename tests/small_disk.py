"""A real file system of a few megabytes that fills up, fails and comes back; needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path


class NoDisk(Exception):
    """This machine does not let the tests mount a file system; says why."""


class SmallDisk:
    """An ext4 file system in a file, mounted at `path`. Raises NoDisk."""

    def __init__(self, folder: Path, megabytes: int = 8) -> None:
        if os.getuid() != 0:
            raise NoDisk("mounting a small file system needs root")
        if shutil.which("mkfs.ext4") is None:
            raise NoDisk("mkfs.ext4 is not installed (Debian: apt-get install e2fsprogs)")
        self._image, self.path = folder / "disk.img", folder / "disk"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(megabytes << 20)
        # Blocks as on a real disk: with those of 1 kB, which mkfs gives so small a disk, memory maps need room that was not asked for.
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", str(self._image)], check=True)
        if self._mount().returncode != 0:
            raise NoDisk("this machine lets nobody mount a file (no loop device, or no right to mount)")

    def fill(self) -> None:
        """Takes the last byte."""
        with (self.path / "filler").open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Gives the room back."""
        (self.path / "filler").unlink()

    def fail(self) -> None:
        """What Linux does after an error of the disk: read-only at once, also for files that are open for writing."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.path)], check=True)

    def protect(self) -> None:
        """Mounts it anew, read-only; nothing on it may be open."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)

    def unprotect(self) -> None:
        """Writable again."""
        subprocess.run(["mount", "-o", "remount,rw", str(self.path)], check=True)

    def pull_out(self) -> None:
        """Takes the file system away from under the files that are open on it."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def put_back(self) -> None:
        """Mounts it again at its place, repaired."""
        copy = self._image.with_suffix(".again")
        shutil.copyfile(self._image, copy)  # a file system that is still open somewhere cannot be mounted twice
        self._image = copy
        subprocess.run(["fsck.ext4", "-p", str(copy)], check=False, stdout=subprocess.DEVNULL)
        assert self._mount().returncode == 0

    def remove(self) -> None:
        """Unmounts it."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, stderr=subprocess.DEVNULL)

    def _mount(self) -> subprocess.CompletedProcess:
        return subprocess.run(["mount", "-o", "loop", str(self._image), str(self.path)], check=False, stderr=subprocess.DEVNULL)
