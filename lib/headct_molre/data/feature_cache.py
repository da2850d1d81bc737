"""Slice features of a backbone, kept on disk: what quick fine-tuning, and training of MoLRE alone, learn from without the images.

A study is found by its content and never by its name. Safe under several writers and under a kill at any moment: a file appears complete
or not at all, and one that is damaged counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import struct
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..imaging import PREPARATION_VERSION
from ..models.backbones.spec import BackboneSpec

logger = logging.getLogger(__name__)

FEATURE_TYPE = torch.float16
ENTRY, PARTIAL = ".safetensors", ".partial"
# A write takes milliseconds; a partial file this old was left by a process that died.
LEFTOVER_SECONDS = 900.0
_LENGTH = struct.Struct("<Q")  # a safetensors file begins with the length of its header


class FeatureCache:
    """A folder of features, a file for each study, of one backbone at one input size in one precision.

    `backbone_sha256` is that of `adapted_backbone_sha256`; `precision` says in which arithmetic the features were computed: the name of an
    engine on a server, fp32 or bf16 in training.
    """

    def __init__(self, folder: Path, spec: BackboneSpec, backbone_sha256: str, input_px: tuple[int, int], precision: str) -> None:
        self.precision = precision
        self.folder = folder / spec.name / f"{_key(spec, backbone_sha256, input_px)}-{precision}"
        self._tidied = False

    def path(self, content: str) -> Path:
        """Where the features of a study lie."""
        return self.folder / f"{content}{ENTRY}"

    def has(self, content: str) -> bool:
        """Whether there is a file for this content; only `get` finds out whether it is whole."""
        return self.path(content).is_file()

    def get(self, content: str) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Features (S, d) float32 and the mask (S,) of a study, or None. A damaged file is removed."""
        path = self.path(content)
        try:
            return _decoded(path.read_bytes())
        except FileNotFoundError:
            return None
        except (SafetensorError, ValueError, KeyError, AttributeError, OSError):
            logger.warning("a damaged file of cached features was removed")
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None

    def put(self, content: str, features: torch.Tensor, mask: torch.Tensor) -> None:
        """Store features (S, d), rounded to float16, and which slices are real (S,); of a volume's backbone its parts (D, d).

        Raises OSError, then nothing is stored.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._tidied:
            self._tidied = True
            self._tidy()
        data = _encoded(features, mask)
        handle, partial = tempfile.mkstemp(PARTIAL, dir=self.folder)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path(content))
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def contents(self) -> set[str]:
        """The contents that have a file."""
        try:
            return {name.removesuffix(ENTRY) for name in os.listdir(self.folder) if name.endswith(ENTRY)}
        except FileNotFoundError:
            return set()

    def _tidy(self) -> None:
        """Removes what dead writers left; another process may do the same."""
        for path in self.folder.glob(f"*{PARTIAL}"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - LEFTOVER_SECONDS:
                    path.unlink()


def feature_caches(folder: Path, spec: BackboneSpec, backbone_sha256: str, input_px: tuple[int, int]) -> list[FeatureCache]:
    """The caches of a backbone that there are, in whatever precision; the fullest first, then by precision."""
    begin = f"{_key(spec, backbone_sha256, input_px)}-"
    found = sorted(path.name.removeprefix(begin) for path in (folder / spec.name).glob(f"{begin}*"))
    caches = [FeatureCache(folder, spec, backbone_sha256, input_px, precision) for precision in found]
    return sorted(caches, key=lambda cache: -len(cache.contents()))


def adapted_backbone_sha256(backbone_sha256: str, state: Mapping[str, torch.Tensor]) -> str:
    """The identity of a backbone with a version's own tensors in it: LoRA, and what else of it was trained.

    `state` is that of a version (its `backbone.*` tensors count, the others do not change slice features); without such tensors it is
    `backbone_sha256` itself, so that versions that share a backbone share its features.
    """
    own = sorted(name for name in state if name.startswith("backbone."))
    if not own:
        return backbone_sha256
    digest = hashlib.sha256(backbone_sha256.encode())
    for name in own:
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _key(spec: BackboneSpec, backbone_sha256: str, input_px: tuple[int, int]) -> str:
    parts = (spec.name, backbone_sha256, repr(tuple(input_px)), repr(spec.grid), repr(spec.windows), PREPARATION_VERSION)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _encoded(features: torch.Tensor, mask: torch.Tensor) -> bytes:
    """A safetensors file with a checksum of its tensors: a disk may give back a file of the right length that holds something else."""
    tensors = {"features": features.to(FEATURE_TYPE).cpu().contiguous(), "mask": mask.cpu().contiguous()}
    return save(tensors, {"sha256": _checked(save(tensors))[1]})


def _decoded(data: bytes) -> tuple[torch.Tensor, torch.Tensor]:
    noted, actual = _checked(data)
    if noted != actual:
        raise ValueError("another checksum")
    tensors = load(data)
    return tensors["features"].float(), tensors["mask"]


def _checked(data: bytes) -> tuple[str | None, str]:
    """The checksum that a file says its tensors have, and the one that they have."""
    if len(data) < _LENGTH.size:
        raise ValueError("too short")
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    header = json.loads(data[_LENGTH.size : end])
    return header.get("__metadata__", {}).get("sha256"), hashlib.sha256(data[end:]).hexdigest()
