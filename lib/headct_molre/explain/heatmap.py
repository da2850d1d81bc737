"""From a prepared study and a finding to a heat map: where the model looked, on the slices with most evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from ..errors import HeadCTError, InvalidRequest, NotFound, StudyRefused
from ..findings import finding, finding_keys
from ..imaging.prepare import Prepared
from ..schema import FindingResult, ModelCard
from .head import head_mask
from .key_slices import key_slices

if TYPE_CHECKING:
    from ..models.backbones.spec import BackboneSpec
    from ..models.classifier import HeadCTClassifier

# Side of a patch. It is the models' own or near it, and all fields of view are whole numbers of it.
PATCH_MM = 16
# Where the slices shown hold no more of the positive evidence than as many slices would if all were alike, by this factor, nothing
# stands out and there is nothing to show.
FLAT = 1.25


@dataclass(frozen=True)
class HeatMap:
    """Where a model looked for a finding.

    `values` (S, H, W) float32 on the grid of `prepared`: relevance of the patch in which a voxel lies, 1 being the study's maximum, 0 on
    all other slices and outside the head. `slices` are the slices shown, `share` of the study's positive evidence (`logits`, calibrated)
    is on them. `note` is a sentence that has to be shown with the map, where there is one.
    """

    finding: str
    model: str
    version: str
    demo: bool
    values: np.ndarray
    slices: np.ndarray
    share: float
    logits: float
    note: str | None
    prepared: Prepared

    @property
    def description(self) -> str:
        """What a file's header says of the map."""
        return f"where the model looked: {self.finding}, not a lesion outline"

    @property
    def summary(self) -> str:
        """What is shown, in a few words."""
        return (
            f"{len(self.slices)} of {len(self.values)} model slices, which hold {self.share:.0%} of the positive evidence, "
            f"in patches of {PATCH_MM} mm; 1 is the study's maximum"
        )

    @property
    def lines(self) -> list[str]:
        """All that has to be said with the map: what it is, the model, and the note where there is one."""
        demo = ["DEMO MODEL: its map means nothing on a patient's scan."] if self.demo else []
        first = f"Where {self.model} {self.version} looked for {finding(self.finding).display_name}, not a lesion outline: {self.summary}."
        return [first, *demo, *([] if self.note is None else [self.note])]


def heat_map(
    classifier: HeadCTClassifier,
    spec: BackboneSpec,
    card: ModelCard,
    prepared: Prepared,
    result: FindingResult,
    device: str = "cpu",
    boundary: Callable[[], None] = lambda: None,
) -> HeatMap:
    """Where the model looked for `result.key` in a prepared study; `classifier` as `load_classifier` gives it, with no engine.

    `result` is what the prediction said of the finding; `boundary` is called between the steps and may end the work by raising. Raises what
    `check_finding` raises, and StudyRefused `no_evidence` or `flat_evidence`, with a sentence, where there is nothing to show.
    """
    import torch

    from .probe import Probe
    from .relevance import relevance

    check_finding(result.key, card)
    name, calibration = finding(result.key).display_name, card.calibration.get(result.key)
    slope = 1.0 if calibration is None else calibration.slope
    probe = Probe(classifier, spec, prepared.hu, card.findings.index(result.key), slope, device)
    thickness = probe.depth * spec.grid.spacing_mm[0]
    parts = key_slices(probe.evidence, thickness)
    if len(parts) == 0:
        raise StudyRefused("no_evidence", f"No heat map: no slice of this study speaks for {name}, so there is nothing that it would show.")
    positive = np.maximum(probe.evidence, 0)
    share = float(positive[parts].sum() / positive.sum())
    if share <= FLAT * len(parts) * probe.depth / len(prepared.hu):
        raise StudyRefused("flat_evidence", f"No heat map: the evidence for {name} is spread evenly over the head; no slice stands out.")
    slices = np.concatenate([np.arange(part * probe.depth, (part + 1) * probe.depth) for part in parts])
    patches = relevance(probe, torch.from_numpy(slices).to(device), patch_grid(spec), spec.field_mm, boundary).clamp(min=0)
    # Slices that the network pools together cannot be told apart.
    patches = patches.unflatten(0, (-1, probe.depth)).mean(1).repeat_interleave(probe.depth, 0)
    shown = slices < len(prepared.hu)  # a volume network's input may go on above the study
    slices = slices[shown]
    values = np.zeros(prepared.hu.shape, np.float32)
    values[slices] = on_grid(patches.cpu().numpy()[shown], spec)
    values[~head_mask(prepared.hu)] = 0
    if not np.isfinite(values).all():
        raise HeadCTError("not_finite", "The heat map is not finite for this study; nothing is shown.", status=500)
    if values.max() <= 0:
        raise StudyRefused("no_evidence", f"No heat map: nothing inside the head speaks for {name}.")
    return HeatMap(
        finding=result.key,
        model=card.name,
        version=card.version,
        demo=card.demo,
        values=values / values.max(),
        slices=slices,
        share=share,
        logits=float(positive.sum()),
        note=_note(result),
        prepared=prepared,
    )


def patch_grid(spec: BackboneSpec) -> tuple[int, int]:
    """How many patches (rows, columns) a backbone's field of view has."""
    return round(spec.field_mm[0] / PATCH_MM), round(spec.field_mm[1] / PATCH_MM)


def on_grid(patches: np.ndarray, spec: BackboneSpec) -> np.ndarray:
    """Patches (N, rows, columns) of a backbone's field of view -> (N, H, W) on its grid, each voxel its patch's value, 0 around it."""
    result = np.zeros((len(patches), spec.grid.field_px, spec.grid.field_px), np.float32)
    height, width = (round(side / step) for side, step in zip(spec.field_mm, spec.grid.spacing_mm[1:], strict=True))
    top, left = (spec.grid.field_px - height) // 2, (spec.grid.field_px - width) // 2
    row, column = (np.arange(size) * count // size for size, count in zip((height, width), patches.shape[1:], strict=True))
    result[:, top : top + height, left : left + width] = patches[:, row[:, None], column]
    return result


def check_finding(key: str, card: ModelCard, field: str = "heatmap") -> None:
    """Raises NotFound, with the nearest key, for an unknown finding, and InvalidRequest for one that the version was not tested on.

    `field` is what the caller calls the parameter.
    """
    if key not in finding_keys():
        raise NotFound("unknown_finding", f"There is no finding {key!r}. {_nearest(key)}", field=field)
    if key not in card.operating_points:
        tested = ", ".join(known for known in finding_keys() if known in card.operating_points) or "none"
        message = f"{card.name} {card.version} does not assess {key}, so it looked nowhere for it. It assesses: {tested}."
        raise InvalidRequest("not_estimable", message, field=field)


def _note(result: FindingResult) -> str | None:
    if result.positive:
        return None
    return (
        f"The model did not call this finding ({result.probability:.3f}, below {result.operating_point:.3f}); "
        "the map shows what it looked at, not a lesion."
    )


def _nearest(key: str) -> str:
    names = {known: known for known in finding_keys()}
    for known in finding_keys():
        for word in (finding(known).display_name, *finding(known).synonyms):
            names.setdefault(word.lower().replace(" ", "_"), known)
    close = get_close_matches(key.strip().lower().replace(" ", "_").replace("-", "_"), names, n=3, cutoff=0.6)
    likely = list(dict.fromkeys(names[word] for word in close))
    return f"Did you mean {' or '.join(likely)}?" if likely else "The keys are listed by /headct/findings."
