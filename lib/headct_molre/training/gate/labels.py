"""Whether the labels that the gate judges by can be meant as they stand: turned round, or one reader's unlike all others'.

A gate that trusts wrong labels promotes the version that learned them. What speaks against them is the champion, which has earned its
place on other studies: labels that it contradicts even where it is sure, or ranks worse than chance, are no ground to judge it by.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...evaluation.auc import finding_placements
from ...evaluation.calibration import probabilities_of
from ...evaluation.delong import Placements
from ...evaluation.estimate import Estimate
from ...evaluation.macro import macro_estimate, macro_influence
from ...evaluation.multiplicity import holm
from ...findings import finding_keys
from ...schema import Calibration
from .document import LabelCheck, ReaderCheck
from .evidence import Contrast, contrast_of
from .held_out import HeldOut
from .policy import GatePolicy

CONFIDENT = 0.9
# Fewer confident calls of either kind say nothing about labels.
FEWEST_CALLS = 10


def check_labels(held: HeldOut, calibration: Mapping[str, Calibration], policy: GatePolicy) -> LabelCheck:
    """Hold the labels against the champion, whose `calibration` it is, over the findings that can be judged."""
    placed = {
        column: one
        for column, one in enumerate(finding_placements(held.truth, held.champion, minimum=policy.minimum_cases))
        if isinstance(one, Placements)
    }
    auc = Estimate(value=None, reason="no finding can be judged")
    if placed:
        found = list(placed.values())
        auc = macro_estimate(found, macro_influence(found, np.arange(len(held)), len(held)), held.codes)
    present, confirmed_present, absent, confirmed_absent = _confident_calls(held, list(placed), calibration)
    worse_than_chance = auc.high is not None and auc.high < 0.5
    turned = False
    if min(present, absent) >= FEWEST_CALLS:
        turned = confirmed_present / present + confirmed_absent / absent < 1
    return LabelCheck(
        champion_auc=auc,
        present_calls=present,
        present_confirmed=confirmed_present,
        absent_calls=absent,
        absent_confirmed=confirmed_absent,
        contradicted=_contradicted(placed, held, policy),
        turned_round=(worse_than_chance or turned) and len(placed) >= policy.minimum_findings,
        readers=_readers(held, policy),
    )


def _confident_calls(held: HeldOut, columns: list[int], calibration: Mapping[str, Calibration]) -> tuple[int, int, int, int]:
    """Confident calls of present, how many the labels confirm, and the same of absent, over findings that are calibrated."""
    keys = finding_keys()
    used = [column for column in columns if keys[column] in calibration]
    probability = probabilities_of(held.champion, keys, calibration)[:, used]
    truth = held.truth[:, used]
    counts = []
    for sure, state in ((probability >= CONFIDENT, 1), (probability <= 1 - CONFIDENT, 0)):
        counts += [int((sure & ~np.isnan(truth)).sum()), int((sure & (truth == state)).sum())]
    return counts[0], counts[1], counts[2], counts[3]


def _contradicted(placed: Mapping[int, Placements], held: HeldOut, policy: GatePolicy) -> list[str]:
    """Findings that the champion ranks worse than chance, over all of them at once."""
    p = []
    for one in placed.values():
        influence = np.zeros(len(held))
        influence[one.cases.rows] = one.influence[:, 0]
        p.append(contrast_of(float(one.auc[0]) - 0.5, influence, held.codes).p_below(0.0))
    return [finding_keys()[column] for column, adjusted in zip(placed, holm(np.array(p)), strict=True) if adjusted < policy.alpha]


def _readers(held: HeldOut, policy: GatePolicy) -> list[ReaderCheck]:
    """Each reader against all others, where there are several; one is unlike them at a loss above the margin (Holm over readers)."""
    if held.readers is None or len(names := np.unique(held.readers)) < 2:
        return []
    found = [_against_others(held, held.readers == name, policy) for name in names]
    p = [1.0 if contrast is None else contrast.p_below(-policy.margin_reader) for contrast, _, _, _ in found]
    checks = []
    for name, adjusted, (contrast, findings, own, others) in zip(names.tolist(), holm(np.array(p)), found, strict=True):
        unlike = bool(adjusted < policy.alpha)
        studies = int((held.readers == name).sum())
        if contrast is None:
            said = f"{studies} studies of reader {name} are too few to be held against others"
        else:
            said = f"mean AUC of the champion {own:.3f} by reader {name} ({studies} studies), {others:.3f} by all others"
        checks.append(
            ReaderCheck(
                reader=name,
                studies=studies,
                findings=findings,
                auc=own,
                auc_others=others,
                unlike_others=unlike,
                sentence=f"{said[0].upper()}{said[1:]}{': labels unlike those of the others' if unlike else ''}.",
            )
        )
    return checks


def _against_others(held: HeldOut, own: np.ndarray, policy: GatePolicy) -> tuple[Contrast | None, int, float | None, float | None]:
    """Mean AUC of the champion by one reader less that by the others, over how many findings, and both; None where too few tell."""
    rows, rest = np.flatnonzero(own), np.flatnonzero(~own)
    mine = finding_placements(held.truth[rows], held.champion[rows], minimum=policy.minimum_cases)
    theirs = finding_placements(held.truth[rest], held.champion[rest], minimum=policy.minimum_cases)
    pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if isinstance(a, Placements) and isinstance(b, Placements)]
    if len(pairs) < policy.minimum_findings:
        return None, len(pairs), None, None
    here, there = [a for a, _ in pairs], [b for _, b in pairs]
    auc, auc_others = (float(np.mean([one.auc[0] for one in side])) for side in (here, there))
    influence = macro_influence(here, rows, len(held)) - macro_influence(there, rest, len(held))
    return contrast_of(auc - auc_others, influence, held.codes), len(pairs), auc, auc_others
