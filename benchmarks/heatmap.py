"""How faithful heat maps are: planted lesions against the map's hottest voxels, by method, on fresh phantoms.

    python benchmarks/heatmap.py [--model demo] [--phantoms 100] [--first-seed 3000001] [--methods ...] [--json OUT] [--markdown OUT]

True positives of focal findings alone: planted, and called by the model. A map is on the slices that `key_slices` chooses, and is judged
on the voxels of the head on those slices:

    hit     the hottest 5 % of these voxels hold at least 10 % of the lesion's voxels on these slices
    touch   they hold at least one of them; chance alone does this often
    peak    the map's maximum lies in the lesion, or within one patch (16 mm in plane, one slice) of it

`random` gives every patch a random number. `deleted` is the share of the logit's whole fall, when the hottest 5, 10 and 20 % of the patches
are blurred, mean over the three; `inserted` the share that comes back when they alone are shown. `rho head` and `rho network` are rank
correlations with the map of a classifier with a random head, and with a random network (Adebayo et al., arXiv 1810.03292): a map that says
what this model knows of this finding has none. With --first-seed elsewhere methods can be compared without spending the seeds of the test.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage, stats
from tqdm import trange

from headct_molre.data.phantom import DRAWABLE, Phantom, make_phantom
from headct_molre.data.phantom.lesions import HEMORRHAGE_SITES, LESION_ID
from headct_molre.errors import StudyRefused
from headct_molre.explain.head import head_mask
from headct_molre.explain.heatmap import PATCH_MM, on_grid, patch_grid
from headct_molre.explain.key_slices import key_slices
from headct_molre.explain.probe import Probe
from headct_molre.explain.relevance import BLUR_MM, blurred, patch_sums, relevance
from headct_molre.imaging.pipeline import prepare_volume
from headct_molre.imaging.prepare import Prepared, resample
from headct_molre.models.backbones.spec import BackboneSpec
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.schema import ModelCard

FIRST_SEED = 3_000_001
# What changes the whole head has no place of its own.
NOT_FOCAL = ("midline_shift", "cerebral_atrophy", "ventricular_enlargement", "hydrocephalus", "chronic_small_vessel_disease")
FOCAL = tuple(key for key in DRAWABLE if key not in NOT_FOCAL)
HOTTEST, LESION_SHARE = 0.05, 0.1
DELETED = (0.05, 0.1, 0.2)

Method = Callable[[Probe, torch.Tensor, BackboneSpec], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A true positive: the study, the finding, and on its key slices (N, H, W) which voxels are head and which are lesion."""

    seed: int
    key: str
    prepared: Prepared
    slices: np.ndarray
    head: np.ndarray
    lesion: np.ndarray


def main() -> None:
    """Run the study and print a table of methods and a table of findings."""
    parser = argparse.ArgumentParser(description="Fidelity of heat maps on phantoms.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--phantoms", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--no-strangers", action="store_true", help="leave out the rank correlations, two thirds of the time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    classifier, card, spec = load_classifier(options.model)
    strangers = {} if options.no_strangers else {"head": with_random_head(classifier), "network": with_random_network(classifier)}
    rows, without_map = [], 0
    for seed in trange(options.first_seed, options.first_seed + options.phantoms, desc="phantoms", mininterval=10):
        for case in true_positives(classifier, card, spec, seed):
            if case is None:
                without_map += 1
                continue
            rows += [judged(name, case, classifier, card, spec, strangers) for name in options.methods]
    report = summary(rows, without_map)
    text = markdown(report)
    print(text)
    if options.json:
        options.json.write_text(json.dumps({**report, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def true_positives(classifier: HeadCTClassifier, card: ModelCard, spec: BackboneSpec, seed: int) -> list[Case | None]:
    """The true positives of one phantom; None for one of which no map is shown because no slice speaks for it."""
    phantom = make_phantom(seed)
    planted = [key for key in FOCAL if key in phantom.planted and key in card.operating_points]
    if not planted:
        return []
    try:
        prepared = prepare_volume(phantom.volume).prepared
    except StudyRefused:
        return []
    cases: list[Case | None] = []
    for key in planted:
        probe = probe_of(classifier, card, spec, prepared, key)
        if probability(probe, card, key) < card.operating_points[key]:
            continue
        lesion = lesion_on(prepared, phantom, key)
        if not lesion.any():
            continue  # another lesion was drawn over it
        parts = key_slices(probe.evidence, probe.depth * spec.grid.spacing_mm[0])
        slices = np.concatenate([np.arange(part * probe.depth, (part + 1) * probe.depth) for part in parts]) if len(parts) else parts
        slices = slices[slices < len(lesion)]
        head = head_mask(prepared.hu)[slices] & (on_grid(np.ones((len(slices), *patch_grid(spec))), spec) > 0)
        cases.append(Case(seed, key, prepared, slices, head, lesion[slices]) if len(slices) else None)
    return cases


def lesion_on(prepared: Prepared, phantom: Phantom, key: str) -> np.ndarray:
    """The planted lesion (S, H, W) bool on the model's grid. A parenchymal hemorrhage is drawn as one of its sites."""
    index = np.linalg.inv(phantom.volume.affine) @ prepared.model_to_ras
    tissue = resample(phantom.tissue, index, range(len(prepared.hu)), order=0, outside=0.0, field_px=prepared.hu.shape[1])
    sites = HEMORRHAGE_SITES if key == "intraparenchymal_hemorrhage" else (key,)
    return np.isin(tissue, [LESION_ID[site] for site in sites])


def probe_of(classifier: HeadCTClassifier, card: ModelCard, spec: BackboneSpec, prepared: Prepared, key: str) -> Probe:
    """The probe of a finding, calibrated as the card says."""
    return Probe(classifier, spec, prepared.hu, card.findings.index(key), card.calibration[key].slope)


def probability(probe: Probe, card: ModelCard, key: str) -> float:
    """The finding's calibrated probability."""
    with torch.no_grad():
        logit = float(probe.classifier.classify(probe.features, probe.mask[None]).logits[0, probe.row])
    scale = card.calibration[key]
    return 1 / (1 + np.exp(-(scale.slope * logit + scale.intercept)))


def judged(
    name: str, case: Case, classifier: HeadCTClassifier, card: ModelCard, spec: BackboneSpec, strangers: dict[str, HeadCTClassifier]
) -> dict[str, Any]:
    """One method on one case."""
    probe = probe_of(classifier, card, spec, case.prepared, case.key)
    slices = torch.from_numpy(case.slices)
    started = time.process_time()
    patches = METHODS[name](probe, slices, spec)
    seconds = time.process_time() - started
    row: dict[str, Any] = {"method": name, "seed": case.seed, "finding": case.key, "seconds": seconds}
    row |= located(on_grid(patches, spec), case, spec)
    inside = patch_sums(torch.from_numpy(cropped(case.head, spec))[:, None].float(), patch_grid(spec))[:, 0].numpy() > PATCH_MM
    row |= faithful(patches, inside, probe, slices, spec)
    for stranger, other in strangers.items():
        theirs = METHODS[name](probe_of(other, card, spec, case.prepared, case.key), slices, spec)
        row[f"rho_{stranger}"] = float(stats.spearmanr(patches[inside], theirs[inside])[0])
    return row


def located(values: np.ndarray, case: Case, spec: BackboneSpec) -> dict[str, bool]:
    """hit, touch and peak of values (N, H, W) on the key slices."""
    values = np.where(case.head, values, -np.inf)
    count = max(int(HOTTEST * case.head.sum()), 1)
    # Whole patches, the hottest first, as long as they fit; voxels of a patch are all alike.
    levels = np.unique(values[case.head])[::-1]
    hot = values >= levels[0]
    for level in levels[1:]:
        wider = values >= level
        if wider.sum() > count:
            break
        hot = wider
    overlap = int((hot & case.lesion).sum())
    reach = [1, *(round(PATCH_MM / step) for step in spec.grid.spacing_mm[1:])]
    near = ndimage.maximum_filter(case.lesion, [2 * size + 1 for size in reach])
    return {
        "hit": bool(overlap > 0 and overlap >= LESION_SHARE * case.lesion.sum()),
        "touch": overlap > 0,
        "peak": bool((near & (values == levels[0])).any()),
    }


def faithful(patches: np.ndarray, inside: np.ndarray, probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> dict[str, float]:
    """deleted and inserted in logits, and the whole fall from the slices as they are to the same blurred."""
    windows = probe.windows[slices]
    blur = blurred(windows, pixels_of(BLUR_MM, windows, spec))
    order = np.flatnonzero(inside)[np.argsort(-patches[inside], kind="stable")]

    def logit(blurred_patches: np.ndarray) -> float:
        chosen = np.zeros(patches.size, np.float32)
        chosen[blurred_patches] = 1
        weight = torch.nn.functional.interpolate(torch.from_numpy(chosen.reshape(patches.shape))[:, None], windows.shape[-2:])
        return float(together(probe, windows + weight * (blur - windows), slices))

    whole, nothing = logit(order[:0]), logit(order)
    counts = [max(int(share * len(order)), 1) for share in DELETED]
    deleted = np.mean([whole - logit(order[:count]) for count in counts])
    inserted = np.mean([logit(order[count:]) - nothing for count in counts])
    return {"deleted": float(deleted), "inserted": float(inserted), "fall": whole - nothing}


def together(probe: Probe, moved: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """The logit with all the slices changed at once."""
    with torch.no_grad():
        features = probe.features.clone()
        features[0, slices] = probe.classifier.backbone(moved)
        return probe.classifier.classify(features, probe.mask[None]).logits[0, probe.row] * probe.slope


def pixels_of(millimetres: float, windows: torch.Tensor, spec: BackboneSpec) -> tuple[float, ...]:
    """A length in pixels (rows, columns) of the input."""
    return tuple(millimetres * px / mm for px, mm in zip(windows.shape[-2:], spec.field_mm, strict=True))


def cropped(voxels: np.ndarray, spec: BackboneSpec) -> np.ndarray:
    """Voxels (N, H, W) of a grid -> those in the backbone's field of view."""
    height, width = (round(side / step) for side, step in zip(spec.field_mm, spec.grid.spacing_mm[1:], strict=True))
    top, left = (voxels.shape[1] - height) // 2, (voxels.shape[2] - width) // 2
    return voxels[:, top : top + height, left : left + width]


def with_random_head(classifier: HeadCTClassifier) -> HeadCTClassifier:
    """The same with another head: it knows no finding."""
    other = copy.deepcopy(classifier)
    generator = torch.Generator().manual_seed(0)
    weight = other.head.weight
    other.head.weight.data = torch.randn(weight.shape, generator=generator) * weight.std()
    return other


def with_random_network(classifier: HeadCTClassifier) -> HeadCTClassifier:
    """The same with a backbone that learned nothing: the tensors of each matrix and convolution in a random order."""
    other = copy.deepcopy(classifier)
    generator = torch.Generator().manual_seed(0)
    for parameter in other.backbone.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.flatten()[torch.randperm(parameter.numel(), generator=generator)].view(parameter.shape)
    return other


def shipped(probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> np.ndarray:
    """What `predict --heatmap` computes."""
    return relevance(probe, slices, patch_grid(spec), spec.field_mm).numpy()


def occlusion(probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> np.ndarray:
    """The fall of the logit when one patch is replaced by the blurred slice."""
    windows = probe.windows[slices]
    blur = blurred(windows, pixels_of(BLUR_MM, windows, spec))
    rows, columns = patch_grid(spec)
    masks = torch.nn.functional.interpolate(torch.eye(rows * columns).view(-1, 1, rows, columns), windows.shape[-2:])
    result = np.zeros((len(slices), rows * columns), np.float32)
    with torch.no_grad():
        whole = together(probe, windows, slices)
        for number, (window, soft) in enumerate(zip(windows, blur, strict=True)):
            for some in torch.arange(rows * columns).split(32):
                moved = window + masks[some] * (soft - window)
                result[number, some] = (whole - probe.logits(moved, slices[number].expand(len(some)))).numpy()
    return result.reshape(len(slices), rows, columns)


def gradient_input(probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> np.ndarray:
    """Gradient times input, summed over a patch."""
    windows = probe.windows[slices]
    return patch_sums((probe.gradient(windows, slices) * windows).sum(1, keepdim=True), patch_grid(spec))[:, 0].numpy()


def gradient_input_absolute(probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> np.ndarray:
    """The same in absolute values."""
    windows = probe.windows[slices]
    return patch_sums((probe.gradient(windows, slices) * windows).abs().sum(1, keepdim=True), patch_grid(spec))[:, 0].numpy()


def gradient_tokens(probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> np.ndarray:
    """Gradient times the patch tokens that enter the last block; after it a CLS token alone is read. A timm transformer's only."""
    network = probe.classifier.backbone.network
    prefix, seen = network.num_prefix_tokens, []

    def keep(block: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        seen.append(inputs[0].detach().requires_grad_())
        return (seen[0], *inputs[1:])

    hook = network.blocks[-1].register_forward_pre_hook(keep)
    try:
        (gradient,) = torch.autograd.grad(probe.logits(probe.windows[slices], slices).sum(), seen)
    finally:
        hook.remove()
    tokens = (gradient * seen[0]).detach()[:, prefix:].sum(-1)
    rows, columns = network.patch_embed.grid_size
    return patch_sums(tokens.view(-1, 1, rows, columns), patch_grid(spec))[:, 0].numpy()


def random_patches(probe: Probe, slices: torch.Tensor, spec: BackboneSpec) -> np.ndarray:
    """A random number for each patch: what chance does."""
    seed = int(abs(float(probe.evidence.sum())) * 1e6) + probe.row
    return np.random.default_rng(seed).random((len(slices), *patch_grid(spec)), np.float32)


METHODS: dict[str, Method] = {
    "integrated gradients": shipped,
    "occlusion": occlusion,
    "gradient x input": gradient_input,
    "abs(gradient x input)": gradient_input_absolute,
    "gradient x tokens": gradient_tokens,
    "random": random_patches,
}
SCORES = ("hit", "touch", "peak", "deleted", "inserted", "rho_head", "rho_network", "seconds")


def summary(rows: list[dict[str, Any]], without_map: int) -> dict[str, Any]:
    """Means by method, and by finding of hit, touch and peak."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    findings: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        grouped[str(row["method"])].append(row)
        findings[str(row["finding"])][str(row["method"])].append(row)
    return {
        "true_positives": len(next(iter(grouped.values()), [])),
        "without_map": without_map,
        "methods": {name: means(some, SCORES) for name, some in grouped.items()},
        "findings": {
            key: {"n": len(next(iter(by.values()))), **{name: means(some, ("hit", "touch", "peak")) for name, some in by.items()}}
            for key, by in sorted(findings.items(), key=lambda item: FOCAL.index(item[0]))
        },
    }


def means(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, float]:
    """Mean of each score over the rows that have it."""
    values = {name: [float(row[name]) for row in rows if name in row] for name in names}
    result = {name: float(np.nanmean(some)) if some else float("nan") for name, some in values.items()}
    if "deleted" in result:  # shares of the mean fall: that of a single study may be next to nothing
        result |= {name: result[name] / float(np.mean([row["fall"] for row in rows])) for name in ("deleted", "inserted")}
    return result


def markdown(report: dict[str, Any]) -> str:
    """Both tables."""
    lines = [f"{report['true_positives']} true positives with a map, {report['without_map']} without", ""]
    lines += ["| method | hit | touch | peak | deleted | inserted | rho head | rho network | s |", "| --- |" + " ---: |" * 8]
    for name, values in report["methods"].items():
        shares = " | ".join(f"{values[score]:.0%}" for score in SCORES[:5])
        lines.append(f"| {name} | {shares} | {values['rho_head']:.2f} | {values['rho_network']:.2f} | {values['seconds']:.2f} |")
    names = list(report["methods"])
    lines += ["", "Hit (peak):", "", "| finding | n | " + " | ".join(names) + " |", "| --- | ---: |" + " ---: |" * len(names)]
    for key, values in report["findings"].items():
        cells = " | ".join(f"{values[name]['hit']:.0%} ({values[name]['peak']:.0%})" for name in names)
        lines.append(f"| {key} | {values['n']} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
