"""Features of a frozen backbone for a whole cohort, each study computed once and kept in a FeatureCache."""

from __future__ import annotations

import torch
from tqdm import tqdm

from ..data.augmentation import AugmentationSettings
from ..data.feature_cache import FeatureCache
from ..models.backbones.spec import BackboneSpec
from ..models.classifier import HeadCTClassifier
from .dataset import Item, StudyDataset, load
from .distributed import Group
from .prepared_cohort import PreparedCohort


def embed(
    classifier: HeadCTClassifier, spec: BackboneSpec, prepared: PreparedCohort, cache: FeatureCache, workers: int, bf16: bool, group: Group
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Features (S, d) and mask (S,) of every study, on the CPU; those that the cache lacks are computed, each process its share.

    All come from the cache in the end, so that a study's features are the same whether they were there before or not.
    """
    missing = [row for row, content in enumerate(prepared.contents) if not cache.has(content)][group.rank :: group.world]
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
