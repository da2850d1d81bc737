"""Put a classifier's backbone on the engine that suits the machine, and prove on synthetic slices that it says the same."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ..backbones.spec import BackboneSpec, model_input
from ..classifier import HeadCTClassifier
from . import REFERENCE, choose_engine, chunk_of, run_on, usable_engines

logger = logging.getLogger(__name__)

Calibrate = Callable[[torch.Tensor], torch.Tensor]

# By how much a probability may differ from that of fp32.
TOLERANCE = 0.01
SLICES = 3


def uncalibrated(logits: torch.Tensor) -> torch.Tensor:
    """Logits as they are."""
    return logits


def apply_engine(
    classifier: HeadCTClassifier, spec: BackboneSpec, device: str, wanted: str | None = None, calibrate: Calibrate = uncalibrated
) -> str:
    """Replace the backbone of a classifier, LoRA merged, by an engine that runs it on a device; returns the engine's name.

    `calibrate` takes the classifier's logits to those that are served, so that the probabilities compared are those that a reader sees.
    Where the engine cannot be built, or a probability differs by more than TOLERANCE from fp32, a warning is logged and the next of
    `usable_engines` is tried; fp32 always works. Raises InvalidRequest for a wanted engine that cannot run here.
    """
    classifier.to(device).eval().requires_grad_(False)
    name = choose_engine(sum(parameter.numel() for parameter in classifier.backbone.parameters()), device, wanted)
    usable = usable_engines(device)
    name, engine = _first_proven(classifier, spec, device, usable[usable.index(name) :], calibrate)
    classifier.register_module("backbone", engine)
    classifier.chunk = chunk_of(name, device)
    return name


def _first_proven(
    classifier: HeadCTClassifier, spec: BackboneSpec, device: str, names: list[str], calibrate: Calibrate
) -> tuple[str, nn.Module]:
    backbone = classifier.backbone
    reference = run_on(REFERENCE, backbone, spec, device)
    if names[0] == REFERENCE:
        return REFERENCE, reference
    study = synthetic_study(spec, classifier.input_px, device)
    expected = probabilities(classifier, reference, *study, calibrate=calibrate)
    for name in names[: names.index(REFERENCE)]:
        try:
            engine = run_on(name, backbone, spec, device)
            difference = float((probabilities(classifier, engine, *study, calibrate=calibrate) - expected).abs().max())
        except Exception as error:
            # Converters fail in many ways; the model can be served all the same.
            logger.warning("%s cannot run %s (%s: %s); another engine is used", name, spec.name, type(error).__name__, error)
            continue
        if difference <= TOLERANCE:
            return name, engine
        logger.warning("%s changes probabilities of %s by up to %.3g; another engine is used", name, spec.name, difference)
    return REFERENCE, reference


def probabilities(
    classifier: HeadCTClassifier,
    run: nn.Module,
    slices: torch.Tensor,
    mask: torch.Tensor | None = None,
    calibrate: Calibrate = uncalibrated,
) -> torch.Tensor:
    """A classifier's probabilities (B, F), float64 on the CPU, of studies (B, S, C, H, W) when `run` is its backbone."""
    before = classifier.backbone
    classifier.register_module("backbone", run)
    try:
        with torch.no_grad():
            return calibrate(classifier(slices, mask).logits.cpu().double()).sigmoid()
    finally:
        classifier.backbone = before


def synthetic_study(
    spec: BackboneSpec, input_px: tuple[int, int], device: str = "cpu", slices: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A study as the classifier takes it, (1, S, C, H, W) and (1, S): always the same, roughly a head, of no patient.

    An ellipse of brain with texture, ventricles and a bleed in a skull; `slices` of it, else few.
    """
    count = slices or (SLICES if spec.level == "slice" else spec.depth or spec.grid.slices)
    side = spec.grid.field_px
    _, row, column = spec.grid.spacing_mm
    x, y = np.meshgrid((np.arange(side) - side / 2) * column, (np.arange(side) - side / 2) * row)
    noise = np.random.default_rng(0)
    hu = np.empty((count, side, side), np.float32)
    for index, height in enumerate(np.linspace(-0.7, 0.7, count)):
        radius = np.hypot(x / 72, y / 88) / np.sqrt(1 - height**2)
        brain = 32 + 4 * np.sin(x / 5) * np.cos(y / 7 + index) + noise.normal(0, 3, x.shape)
        brain[np.hypot((np.abs(x) - 12) / 6, y / 20) < 1 - abs(height)] = 6
        brain[np.hypot(x - 35, y - 10 - 5 * index) < 12] = 65
        hu[index] = np.select([radius < 0.9, radius < 0.98, radius < 1.06], [brain, 1000, 30], -1000)
    windowed, mask = model_input(spec, hu, input_px)
    return windowed[None].to(device), mask[None].to(device)
