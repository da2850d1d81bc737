"""Several processes under torchrun: who this one is, and how results come together. Alone, everything is the identity."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

# The first process prepares the cohort while the others wait; a large one takes hours.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Group:
    """One of `world` processes, which runs on `device`."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            distributed.barrier()

    def agree(self, flag: bool) -> bool:
        """What the first process says."""
        if self.world == 1:
            return flag
        word = torch.tensor([int(flag)], device=self.device)
        distributed.broadcast(word, 0)
        return bool(word.item())

    def gather_rows(self, values: torch.Tensor, count: int) -> torch.Tensor:
        """All rows (count, F), in order, of which this process holds every `world`-th from its rank on; exact, with no row twice."""
        if self.world == 1:
            return values
        longest = -(-count // self.world)
        padded = values.new_zeros(longest, *values.shape[1:])
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        distributed.all_gather(parts, padded)
        return torch.stack(parts, 1).flatten(0, 1)[:count]


@contextmanager
def process_group(device: str | None = None) -> Iterator[Group]:
    """The group of this process: what torchrun says in its environment, else a group of one.

    gloo carries it on CPUs, nccl on GPUs, where each process takes the GPU of its local rank.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if world == 1:
        yield Group(0, 1, torch.device(chosen))
        return
    gpu = chosen.startswith("cuda")
    where = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(where)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    try:
        yield Group(distributed.get_rank(), world, where)
    finally:
        distributed.destroy_process_group()
