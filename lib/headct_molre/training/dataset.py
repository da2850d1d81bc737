"""Prepared studies as the backbone's input, augmented where they are trained on, read by worker processes ahead of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..data.augmentation import AugmentationSettings, augment_hu, augment_windows
from ..models.backbones.spec import BackboneSpec, model_input
from .prepared_cohort import PreparedCohort


@dataclass(frozen=True)
class Item:
    """A study to load: its row in the cohort, and its place in the run where it is to be augmented, which seeds the random numbers."""

    row: int
    epoch: int | None = None
    position: int = 0


@dataclass
class Batch:
    """Studies (B): rows, inputs (B, S, ...) padded to the longest, and the mask (B, S) of real slices."""

    rows: list[int]
    inputs: torch.Tensor
    mask: torch.Tensor

    def pin_memory(self) -> Batch:
        """The same in memory from which a GPU copies without waiting; the loader calls this."""
        return Batch(self.rows, self.inputs.pin_memory(), self.mask.pin_memory())


class StudyDataset(Dataset[tuple[int, torch.Tensor, torch.Tensor]]):
    """Windowed slices (S, C, H, W) and their mask (S,) of an `Item`."""

    def __init__(
        self, prepared: PreparedCohort, spec: BackboneSpec, input_px: tuple[int, int], augmentation: AugmentationSettings, seed: int
    ) -> None:
        self.prepared, self.spec, self.input_px = prepared, spec, input_px
        self.augmentation, self.seed = augmentation, seed

    def __getitem__(self, item: Item) -> tuple[int, torch.Tensor, torch.Tensor]:
        hu = self.prepared.hu(item.row)
        if item.epoch is None:
            return item.row, *model_input(self.spec, hu, self.input_px)
        rng = np.random.default_rng([self.seed, item.epoch, item.position, 2])
        hu = augment_hu(hu, self.spec.grid.spacing_mm[1:], self.augmentation, rng)
        slices, mask = model_input(self.spec, hu, self.input_px)
        return item.row, augment_windows(slices, mask, self.augmentation, rng), mask


class FeatureDataset(Dataset[tuple[int, torch.Tensor, torch.Tensor]]):
    """Cached features (S, d) and their mask (S,) of an `Item`, from memory."""

    def __init__(self, features: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.features = features

    def __getitem__(self, item: Item) -> tuple[int, torch.Tensor, torch.Tensor]:
        features, mask = self.features[item.row]
        return item.row, features, mask


def load(dataset: Dataset[tuple[int, torch.Tensor, torch.Tensor]], batches: list[list[Item]], workers: int) -> Iterator[Batch]:
    """The batches in their order, read ahead by `workers` processes, or in this one for 0."""
    loader: DataLoader[tuple[int, torch.Tensor, torch.Tensor]] = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader


def _collate(items: list[tuple[int, torch.Tensor, torch.Tensor]]) -> Batch:
    rows, inputs, masks = zip(*items, strict=True)
    pad = torch.nn.utils.rnn.pad_sequence
    return Batch(list(rows), pad(list(inputs), batch_first=True), pad(list(masks), batch_first=True))
