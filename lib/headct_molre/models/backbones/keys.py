"""Steps that conversions of published checkpoints share: renaming keys and joining separate q, k and v."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

from .spec import State


def renamed(state: State, rules: Iterable[tuple[str, str]]) -> State:
    """Every key with all (pattern, replacement) rules applied in order. Raises ValueError where two keys become one."""
    rules = tuple(rules)
    result: State = {}
    for key, tensor in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        if key in result:
            raise ValueError(f"two tensors of the checkpoint are named {key}")
        result[key] = tensor
    return result


def joined(state: State, parts: tuple[str, ...], whole: str) -> State:
    """Tensors `*.<part>.weight` and `*.<part>.bias` stacked along their outputs into `*.<whole>.weight` and `*.<whole>.bias`.

    A group that lacks a part stays as it is, so that a strict load names what is missing.
    """
    result = dict(state)
    for first in state:
        match = re.fullmatch(rf"(.*\.){parts[0]}\.(weight|bias)", first)
        if match:
            keys = [f"{match[1]}{part}.{match[2]}" for part in parts]
            if all(key in state for key in keys):
                result[f"{match[1]}{whole}.{match[2]}"] = torch.cat([result.pop(key) for key in keys])
    return result
