"""Two models on the same studies: which finding differs, by how much on average, and whether one is not inferior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import FiniteFloat

from ..findings import finding
from ..schema import Contract
from .auc import finding_placements, patient_codes
from .bootstrap import REPLICATES, Replicates, bootstrap, interval, mean_over_findings
from .delong import Placements, auc_estimates, paired_test
from .estimate import Estimate
from .multiplicity import benjamini_hochberg, holm

ALPHA = 0.05
MARGIN = 0.01
HIGH_AUC = 0.9


class FindingComparison(Contract):
    """One finding that is estimable under both models: `difference` is the model's AUC less the other's.

    `p` is DeLong's, `p_holm` holds over all findings, `q` is the false discovery rate; null where the rankings are the same.
    """

    key: str
    positives: int
    negatives: int
    auc: Estimate
    auc_against: Estimate
    difference: Estimate
    p: FiniteFloat | None
    p_holm: FiniteFloat | None
    q: FiniteFloat | None


class CategoryComparison(Contract):
    """Mean AUC of both models over the compared findings of one category."""

    name: str
    findings: int
    auc: FiniteFloat
    auc_against: FiniteFloat
    difference: Estimate


class NonInferiority(Contract):
    """Whether the macro AUC is less than `margin` below the other's, judged by the interval's lower end; null where there is none."""

    margin: FiniteFloat
    met: bool | None
    statement: str


class Comparison(Contract):
    """The model against another on the same studies and findings."""

    against: str
    findings_compared: int
    macro_auc: FiniteFloat | None
    macro_auc_against: FiniteFloat | None
    macro_difference: Estimate
    sd_auc: FiniteFloat | None
    sd_auc_against: FiniteFloat | None
    above_090: int
    above_090_against: int
    above_090_by_lower_bound: int
    above_090_by_lower_bound_against: int
    better_by_holm: list[str]
    worse_by_holm: list[str]
    non_inferiority: NonInferiority
    categories: list[CategoryComparison]
    findings: list[FindingComparison]


def compare(
    truth: np.ndarray,
    scores: np.ndarray,
    against: np.ndarray,
    patients: np.ndarray,
    keys: Sequence[str],
    name: str,
    replicates: int = REPLICATES,
    seed: int = 0,
    margin: float = MARGIN,
) -> Comparison:
    """Compare two models; truth of 1, 0 and NaN and both scores are (N, F), `patients` (N,) names, `name` that of the other model.

    With the models swapped every difference changes its sign and nothing else; the order of studies does not matter.
    """
    codes = patient_codes(patients)
    placed = {key: one for key, one in zip(keys, finding_placements(truth, scores, against), strict=True) if isinstance(one, Placements)}
    findings = _findings(placed, codes)
    drawn = bootstrap(truth, (scores, against), patients, replicates, seed)
    compared = [column for column, key in enumerate(keys) if key in placed]
    ours, theirs = (np.array([one.auc[column] for one in placed.values()]) for column in (0, 1))
    macro = _mean_difference(drawn, compared, ours - theirs)
    return Comparison(
        against=name,
        findings_compared=len(placed),
        macro_auc=float(ours.mean()) if len(ours) else None,
        macro_auc_against=float(theirs.mean()) if len(theirs) else None,
        macro_difference=macro,
        sd_auc=float(ours.std(ddof=1)) if len(ours) > 1 else None,
        sd_auc_against=float(theirs.std(ddof=1)) if len(theirs) > 1 else None,
        above_090=int((ours > HIGH_AUC).sum()),
        above_090_against=int((theirs > HIGH_AUC).sum()),
        above_090_by_lower_bound=sum((one.auc.low or 0.0) > HIGH_AUC for one in findings),
        above_090_by_lower_bound_against=sum((one.auc_against.low or 0.0) > HIGH_AUC for one in findings),
        better_by_holm=[one.key for one in findings if _significant(one) and (one.difference.value or 0.0) > 0],
        worse_by_holm=[one.key for one in findings if _significant(one) and (one.difference.value or 0.0) < 0],
        non_inferiority=non_inferiority(macro, name, margin),
        categories=_categories(placed, compared, drawn, ours, theirs),
        findings=findings,
    )


def non_inferiority(difference: Estimate, name: str, margin: float = MARGIN) -> NonInferiority:
    """The statement that follows from the interval of the difference of macro AUCs."""
    if difference.low is None:
        return NonInferiority(margin=margin, met=None, statement=f"Not judged against {name}: {difference.reason}.")
    met = difference.low > -margin
    verdict = "Not inferior" if met else "Non-inferiority is not shown"
    relation = "above" if met else "not above"
    return NonInferiority(
        margin=margin,
        met=met,
        statement=f"{verdict} to {name} by a margin of {margin:g}: the interval of the difference in macro AUC begins at "
        f"{difference.low:+.4f}, which is {relation} {-margin:+g}.",
    )


def _findings(placed: dict[str, Placements], codes: np.ndarray | None) -> list[FindingComparison]:
    tests = {key: paired_test(one, codes) for key, one in placed.items()}
    judged = {key: test.p for key, test in tests.items() if test.p is not None}
    p = np.array(list(judged.values()))
    adjusted = {key: values for key, *values in zip(judged, holm(p).tolist(), benjamini_hochberg(p).tolist(), strict=True)}
    result = []
    for key, one in placed.items():
        positives = int(one.cases.positive.sum())
        ours, theirs = auc_estimates(one, codes)
        p_holm, q = adjusted.get(key, (None, None))
        result.append(
            FindingComparison(
                key=key,
                positives=positives,
                negatives=len(one.cases.positive) - positives,
                auc=ours,
                auc_against=theirs,
                difference=tests[key].difference,
                p=tests[key].p,
                p_holm=p_holm,
                q=q,
            )
        )
    return result


def _categories(
    placed: dict[str, Placements], compared: list[int], drawn: Replicates, ours: np.ndarray, theirs: np.ndarray
) -> list[CategoryComparison]:
    of_category: dict[str, list[int]] = {}
    for position, key in enumerate(placed):
        of_category.setdefault(finding(key).category, []).append(position)
    return [
        CategoryComparison(
            name=category,
            findings=len(members),
            auc=float(ours[members].mean()),
            auc_against=float(theirs[members].mean()),
            difference=_mean_difference(drawn, [compared[position] for position in members], (ours - theirs)[members]),
        )
        for category, members in of_category.items()
    ]


def _mean_difference(drawn: Replicates, columns: list[int], differences: np.ndarray) -> Estimate:
    point = float(differences.mean()) if len(differences) else None
    replicates = drawn.auc[0, columns] - drawn.auc[1, columns]
    return interval(replicates, mean_over_findings, point, "no finding is estimable under both models")


def _significant(one: FindingComparison) -> bool:
    return one.p_holm is not None and one.p_holm < ALPHA
