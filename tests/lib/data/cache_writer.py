"""A process that writes to a cache of prepared studies, for tests of what several of them do to each other.

python cache_writer.py loop FOLDER LIMIT_BYTES FIRST COUNT     put studies FIRST, FIRST + 1, ... once each
python cache_writer.py kill FOLDER LIMIT_BYTES KILLS SEED      fork writers and kill each at a random moment
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.data.prepared_entry import decode
from headct_molre.imaging.pipeline import PreparedStudy
from headct_molre.imaging.prepare import Prepared
from headct_molre.imaging.storage import as_stored
from headct_molre.schema import Quality, Warning_

LIMIT = 10**9


def study(seed: int, matrix: int = 64) -> PreparedStudy:
    """A small prepared study that follows from its seed."""
    rng = np.random.default_rng(seed)
    hu = as_stored(rng.normal(30, 300, (8, matrix, matrix)).astype(np.float32)).astype(np.float32)
    warnings = [Warning_(code="gantry_tilt", message="Tilted.", value=18.5), Warning_(code="bone_kernel", message="Bone.")]
    facts = {"slices": 28, "tilt_degrees": 18.0, "coverage_mm": 1 / 3, "kernel": "STD+", "kvp": None, "resampled": True}
    quality = Quality(accepted=True, warnings=warnings, facts=facts)
    return PreparedStudy(Prepared(hu, rng.normal(size=(4, 4))), quality, {"read": 1.0})


def loop(cache: PreparedCache, first: int, count: int) -> None:
    """Put studies; each is its own content."""
    for seed in range(first, first + count):
        cache.put(f"content {seed}", study(seed))


def kill(cache: PreparedCache, kills: int, seed: int) -> None:
    """Kill writers that never pause at random moments of up to three writes, and read all that there is after each kill.

    Goes on until some were killed before and some after they had written. Raises DamagedEntry.
    """
    rng = random.Random(seed)
    large = [study(number, 256) for number in range(7)]
    scratch = PreparedCache(cache.folder / "scratch", LIMIT)
    scratch.put("content", large[0])  # loads the codec, which each child would otherwise spend its life on
    started = time.perf_counter()
    scratch.put("content", large[0])
    one_write = time.perf_counter() - started
    number = 0
    while number < kills or not (list(cache.folder.glob("*.prepared")) and list(cache.folder.glob("*.partial"))):
        number += 1
        child = os.fork()
        if child == 0:
            while True:
                cache.put(f"content {number % 7}", large[number % 7])
        time.sleep(rng.uniform(0, 3 * one_write))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for path in cache.folder.glob("*.prepared"):
            decode(path.stem, path.read_bytes())


if __name__ == "__main__":
    command, folder, limit, *numbers = sys.argv[1:]
    {"loop": loop, "kill": kill}[command](PreparedCache(Path(folder), int(limit)), *map(int, numbers))
