"""What a training process may take of the machine."""

from __future__ import annotations

import os

import psutil

from .config import ServerConfig

MB = 1_000_000


def memory_limit(config: ServerConfig) -> int:
    """Bytes of memory."""
    return config.train_memory_mb * MB or int(psutil.virtual_memory().total) // 2


def thread_limit(config: ServerConfig) -> int:
    """Threads of the processor; the other half is left to inference."""
    return config.train_threads or max(1, (os.cpu_count() or 2) // 2)
