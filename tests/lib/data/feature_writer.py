"""A process that writes to a feature cache, for tests of what several of them, and a kill, do to it.

python feature_writer.py loop FOLDER COUNT         put contents 0, 1, ... once each
python feature_writer.py kill FOLDER KILLS SEED    fork writers and kill each at a random moment
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from headct_molre.data.feature_cache import FeatureCache
from headct_molre.models.backbones import backbone_spec

SLICES = 36


def cache_in(folder: Path) -> FeatureCache:
    """The cache that all these processes share."""
    spec = backbone_spec("dinov3_base")
    return FeatureCache(folder, spec, "0" * 64, spec.input_px, "fp32")


def features_of(number: int) -> torch.Tensor:
    """The features (36, 768) that follow from a number, in float16 exactly."""
    generator = torch.Generator().manual_seed(number)
    return torch.randint(-99, 99, (SLICES, 768), generator=generator).float()


def loop(cache: FeatureCache, count: int) -> None:
    """Put studies; each is its own content."""
    for number in range(count):
        cache.put(f"content{number}", features_of(number), torch.ones(SLICES, dtype=torch.bool))


def kill(cache: FeatureCache, kills: int, seed: int) -> None:
    """Kill writers that never pause, and read all that there is after each kill: exactly what was put, or nothing.

    Goes on until some were killed before and some after they had written.
    """
    rng, made = random.Random(seed), [features_of(number) for number in range(3)]
    number = 0
    while number < kills or not (cache.contents() and list(cache.folder.glob("*.partial"))):
        number += 1
        child = os.fork()
        if child == 0:
            while True:
                cache.put(f"content{number % 3}", made[number % 3], torch.ones(SLICES, dtype=torch.bool))
        time.sleep(rng.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for content in cache.contents():
            found = cache.get(content)
            assert found is not None, "a kill left a damaged file"
            assert torch.equal(found[0], made[int(content.removeprefix("content"))])


if __name__ == "__main__":
    command, folder, *numbers = sys.argv[1:]
    {"loop": loop, "kill": kill}[command](cache_in(Path(folder)), *map(int, numbers))
