"""The source set of a version that has just been trained: for cached features it is at hand, else it costs one pass over its studies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from tqdm import tqdm

from .dataset import Item, load
from .loop import Data, Logits
from .prepared_cohort import PreparedCohort
from .source_set import SPLITS, SourceSet, drawn


def gather_source_set(
    logits: Logits, data: Mapping[str, Data], parts: Mapping[str, PreparedCohort], most: int, seed: int, workers: int
) -> SourceSet:
    """Features of at most `most` training and as many validation studies, as the finished network gives them without augmentation."""
    device = next(logits.classifier.head.parameters()).device
    features, labels, validation, patients = [], [], [], []
    for split in SPLITS:
        cohort = parts[split].cohort
        rows = drawn(len(cohort), seed, most)
        labels.append(cohort.labels()[rows])
        validation += [split == "validation"] * len(rows)
        patients += [cohort.studies[row].patient for row in rows]
        with torch.inference_mode():
            batches = load(data[split], [[Item(int(row))] for row in rows], workers)
            for batch in tqdm(batches, total=len(rows), desc="source set", unit="study", disable=None, leave=False, mininterval=1):
                seen = logits.features(batch.inputs.to(device), batch.mask.to(device))[0]
                real = seen[batch.mask[0].to(device)] if logits.classifier.level == "slice" else seen
                features.append(real.half().cpu())
    codes = np.unique(patients, return_inverse=True)[1]
    return SourceSet(features, np.concatenate(labels), np.array(validation), codes.astype(np.int32))
