"""Features of a frozen backbone, computed once for each study and kept on disk: what MoLRE alone, and quick fine-tuning, learn from."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from ..data.augmentation import AugmentationSettings
from ..imaging import PREPARATION_VERSION
from ..models.backbones.spec import BackboneSpec
from ..models.classifier import HeadCTClassifier
from .dataset import Item, StudyDataset, load
from .distributed import Group
from .prepared_cohort import PreparedCohort

logger = logging.getLogger(__name__)

FEATURE_TYPE = torch.float16


class FeatureCache:
    """A folder of features, a file for each study, found by content, backbone, input size and precision; a damaged file is absent."""

    def __init__(self, folder: Path, spec: BackboneSpec, backbone_sha256: str, input_px: tuple[int, int], bf16: bool) -> None:
        parts = (
            spec.name,
            backbone_sha256,
            repr(input_px),
            repr(spec.grid),
            repr(spec.windows),
            PREPARATION_VERSION,
            "bf16" if bf16 else "fp32",
        )
        self.folder = folder / spec.name / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def path(self, content: str) -> Path:
        """Where the features of a study lie."""
        return self.folder / f"{content}.safetensors"

    def get(self, content: str) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Features (S, d) float32 and the mask (S,) of a study, or None."""
        path = self.path(content)
        try:
            tensors = load_file(path)
            return tensors["features"].float(), tensors["mask"]
        except (FileNotFoundError, KeyError):
            return None
        except (SafetensorError, OSError):
            logger.warning("a damaged file of cached features was removed")
            path.unlink(missing_ok=True)
            return None

    def put(self, content: str, features: torch.Tensor, mask: torch.Tensor) -> None:
        """Store features (S, d), rounded to float16, and the mask (S,); the file appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path(content)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        save_file({"features": features.to(FEATURE_TYPE).cpu().contiguous(), "mask": mask.cpu().contiguous()}, partial)
        os.replace(partial, path)


def embed(
    classifier: HeadCTClassifier, spec: BackboneSpec, prepared: PreparedCohort, cache: FeatureCache, workers: int, bf16: bool, group: Group
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Features (S, d) and mask (S,) of every study, on the CPU; those that the cache lacks are computed, each process its share.

    All come from the cache in the end, so that a study's features are the same whether they were there before or not.
    """
    missing = [row for row, content in enumerate(prepared.contents) if not cache.path(content).is_file()][group.rank :: group.world]
    dataset = StudyDataset(prepared, spec, classifier.input_px, AugmentationSettings(), 0)
    bar = tqdm(total=len(missing), desc="features", unit="study", disable=None if group.first and missing else True, mininterval=1)
    with torch.inference_mode(), bar:
        for batch in load(dataset, [[Item(row)] for row in missing], workers):
            mask = batch.mask.to(group.device)
            with torch.autocast(group.device.type, torch.bfloat16, enabled=bf16):
                features = classifier.features(batch.inputs.to(group.device), mask)
            cache.put(prepared.contents[batch.rows[0]], features[0].float(), mask[0])
            bar.update()
    group.wait()
    found = [cache.get(content) for content in prepared.contents]
    if any(item is None for item in found):  # damaged since it was written: it was removed, so this ends
        return embed(classifier, spec, prepared, cache, workers, bf16, group)
    return [item for item in found if item is not None]
