"""The devices on which this machine infers, and what becomes of one that has no memory left."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Callable, Iterator

from ..errors import HeadCTError
from .collection import collect_everything

NICENESS = 5  # of what nobody waits for


class DeviceOutOfMemory(HeadCTError):
    """The device had no memory for this study; what was loaded on it has been freed."""

    status = 503
    retry_after_s = 10


def inference_devices() -> list[str]:
    """Every CUDA device, else the CPU."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else ["cpu"]


def give_way() -> None:
    """Lets other work go before that of the calling thread and of what it starts from now on, processes included (Linux).

    Elsewhere the niceness is the whole process's, and nothing is changed.
    """
    if os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@contextlib.contextmanager
def freed_when_out_of_memory(device: str, free: Callable[[], None]) -> Iterator[None]:
    """Turns a lack of memory into DeviceOutOfMemory (503) after `free()` let go of what it loaded."""
    try:
        yield
    except Exception as error:
        if not _is_lack_of_memory(error):
            raise
        # The frames of what failed still hold its tensors.
        traceback.clear_frames(error.__traceback__)
        free()
        release(device)
        message = f"{device} has not enough memory for this study now. Models were unloaded; ask again."
        raise DeviceOutOfMemory("out_of_memory", message) from None


def release(device: str) -> None:
    """Gives memory that nothing refers to any more back to the device."""
    collect_everything()
    if device.startswith("cuda"):
        import torch

        with torch.cuda.device(device):
            torch.cuda.empty_cache()


def _is_lack_of_memory(error: Exception) -> bool:
    import torch

    # On the CPU, PyTorch raises RuntimeError with the words of its allocator.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))
