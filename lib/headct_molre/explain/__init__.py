"""Where a model looked for one finding: a heat map over the slices with most evidence. Never a lesion's outline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .heatmap import HeatMap, check_finding, heat_map

if TYPE_CHECKING:
    from ..data.prepared_cache import PreparedCache
    from ..schema import Prediction

__all__ = ["HeatMap", "check_finding", "explain", "heat_map"]


def explain(
    path: Path,
    prediction: Prediction,
    finding: str,
    series_uid: str | None = None,
    prepared: PreparedCache | None = None,
    device: str | None = None,
    boundary: Callable[[], None] = lambda: None,
) -> HeatMap:
    """Where the model of a prediction looked for a finding in the study at `path`, which the prediction is of.

    The network runs in plain float32 torch, whatever engine made the prediction: gradients are asked of it. `device` is that of the
    prediction unless it is given; `boundary` is called between the steps and may end the work by raising.
    Raises ModelUnavailable `version_changed` where the prediction's version is no longer served, and what `heat_map` raises.
    """
    from ..data.prepared_cache import cached_prepare
    from ..errors import ModelUnavailable
    from ..findings import finding_keys
    from ..models.checkpoint import load_classifier

    device = device or prediction.device
    classifier, card, spec = load_classifier(prediction.model.name, device)
    check_finding(finding, card)
    if card.weights_sha256 != prediction.model.weights_sha256:
        message = f"The prediction is of {card.name} {prediction.model.version}, and {card.version} is served now. Predict again."
        raise ModelUnavailable("version_changed", message)
    study = cached_prepare(path, series_uid, prepared, grid=spec.grid)
    boundary()
    return heat_map(classifier, spec, card, study.prepared, prediction.findings[finding_keys().index(finding)], device, boundary)
