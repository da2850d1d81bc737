"""How far readers agree on a finding: raw agreement, Cohen's kappa of each pair of readers, Fleiss' kappa of all.

Intervals are analytic: the linearised variance over studies (each study's first-order influence on the statistic), which for one pair
is the variance of Fleiss, Cohen and Everitt (Psychological Bulletin 72 (1969) 323) with n - 1 in place of n. Where a finding is rare,
kappa is low even for readers who nearly always agree; read it beside the raw agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np

from ..findings import finding_keys
from ..schema import Contract, State
from .estimate import Estimate, Z

STATES: tuple[State, ...] = ("present", "absent", "uncertain")
_CODES = {state: code for code, state in enumerate(STATES)}
MISSING = -1  # not assessed, or not read by this reader
MINIMUM_STUDIES = 10  # fewer say nothing about agreement beyond chance
_ONE_SAID = "every reader always made the same call, so there is no agreement beyond chance to measure"
_SAME = "no interval: it is the same on every study"


class PairAgreement(Contract):
    """Two readers on the studies that both assessed: the share of equal calls, and Cohen's kappa."""

    readers: tuple[str, str]
    studies: int
    raw: Estimate
    kappa: Estimate


class Agreement(Contract):
    """All readers of a finding; `studies` were assessed by at least two.

    `raw` is the mean over studies of the share of pairs of readers who agree, `cohen` the mean over the pairs of readers weighted by
    their common studies.
    """

    studies: int
    readers: int
    raw: Estimate
    fleiss: Estimate
    cohen: Estimate
    pairs: list[PairAgreement]


class FindingAgreement(Contract):
    """A finding with uncertain as a call of its own, and with the uncertain calls left out."""

    finding: str
    three_states: Agreement
    present_or_absent: Agreement


def agreement(
    readings: Iterable[tuple[str, str, Mapping[str, State]]], findings: Iterable[str] | None = None, minimum: int = MINIMUM_STUDIES
) -> list[FindingAgreement]:
    """Agreement on each finding, all 75 by default, from (study, reader, {key: state}), one for each reader of a study.

    not_assessed and what is not named are no calls. Fewer common studies than `minimum` are "not estimable".
    """
    keys = tuple(findings) if findings is not None else finding_keys()
    table = list(readings)
    study_rows = {study: row for row, study in enumerate(sorted({study for study, _, _ in table}))}
    readers = sorted({reader for _, reader, _ in table})
    columns = {reader: column for column, reader in enumerate(readers)}
    calls = np.full((len(keys), len(study_rows), len(readers)), MISSING, np.int8)
    for study, reader, states in table:
        calls[:, study_rows[study], columns[reader]] = [_CODES.get(states.get(key, "not_assessed"), MISSING) for key in keys]
    uncertain = _CODES["uncertain"]
    return [
        FindingAgreement(
            finding=key,
            three_states=agreement_of(of_finding, readers, minimum),
            present_or_absent=agreement_of(np.where(of_finding == uncertain, MISSING, of_finding), readers, minimum),
        )
        for key, of_finding in zip(keys, calls, strict=True)
    ]


def agreement_of(calls: np.ndarray, readers: list[str], minimum: int = MINIMUM_STUDIES) -> Agreement:
    """Agreement on one finding from calls (N studies, R readers) of codes 0, 1, ... and MISSING."""
    calls = calls[(calls != MISSING).sum(1) >= 2]
    present = (calls != MISSING).any(0)
    calls, readers = calls[:, present], [reader for reader, here in zip(readers, present, strict=True) if here]
    categories = int(calls.max(initial=-1)) + 1
    counts = np.stack([(calls == category).sum(1) for category in range(categories)], 1) if categories else np.zeros((0, 1), int)
    pairs, influences = [], []
    for first, second in combinations(range(len(readers)), 2):
        common = np.flatnonzero((calls[:, first] != MISSING) & (calls[:, second] != MISSING))
        if len(common) == 0:
            continue
        raw, kappa, influence = _cohen(calls[common, first], calls[common, second], categories, minimum)
        pairs.append(PairAgreement(readers=(readers[first], readers[second]), studies=len(common), raw=raw, kappa=kappa))
        influences.append((common, influence))
    raw, fleiss = fleiss_kappa(counts, minimum)
    return Agreement(
        studies=len(calls), readers=len(readers), raw=raw, fleiss=fleiss, cohen=_mean_of_pairs(pairs, influences, len(calls)), pairs=pairs
    )


def cohen_kappa(first: np.ndarray, second: np.ndarray, minimum: int = MINIMUM_STUDIES) -> Estimate:
    """Cohen's kappa (Educational and Psychological Measurement 20 (1960) 37) of two readers' codes (N,), without MISSING."""
    categories = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
    return _cohen(first, second, categories, minimum)[1]


def fleiss_kappa(counts: np.ndarray, minimum: int = MINIMUM_STUDIES) -> tuple[Estimate, Estimate]:
    """Raw agreement and Fleiss' kappa from how many readers chose each category on each study, counts (N, C), each row two or more.

    With r readers of a study, of whom r_k chose category k: P = mean of sum_k r_k (r_k - 1) / (r (r - 1)), p_k = mean of r_k / r, and
    kappa = (P - sum p_k^2) / (1 - sum p_k^2). Of equal numbers of readers this is Fleiss (Psychological Bulletin 76 (1971) 378); of
    varying numbers, Gwet (Handbook of Inter-Rater Reliability, 4th edition (2014), chapter 2).
    """
    if len(counts) < minimum:
        none = _too_few(len(counts), minimum)
        return none, none
    readers = counts.sum(1)
    agreeing = (counts * (counts - 1)).sum(1) / (readers * (readers - 1))
    shares = counts / readers[:, None]
    prevalence = shares.mean(0)
    observed, chance = agreeing.mean(), (prevalence**2).sum()
    raw = _estimate(observed, agreeing - observed, 0.0)
    if np.count_nonzero(prevalence) < 2:
        return raw, Estimate(value=None, reason=_ONE_SAID)
    kappa = (observed - chance) / (1 - chance)
    of_chance = 2 * (shares @ prevalence - chance)
    return raw, _estimate(kappa, (agreeing - observed - (1 - kappa) * of_chance) / (1 - chance), -1.0)


def _cohen(first: np.ndarray, second: np.ndarray, categories: int, minimum: int) -> tuple[Estimate, Estimate, np.ndarray | None]:
    """Raw agreement, kappa, and each study's influence (N,) on kappa; None where kappa is not estimable."""
    if len(first) < minimum:
        none = _too_few(len(first), minimum)
        return none, none, None
    equal = (first == second).astype(float)
    p_first, p_second = (np.bincount(codes, minlength=categories) / len(codes) for codes in (first, second))
    observed, chance = equal.mean(), p_first @ p_second
    raw = _estimate(observed, equal - observed, 0.0)
    if np.count_nonzero(p_first + p_second) < 2:
        return raw, Estimate(value=None, reason=_ONE_SAID), None
    kappa = (observed - chance) / (1 - chance)
    of_chance = p_second[first] + p_first[second] - 2 * chance
    influence = (equal - observed - (1 - kappa) * of_chance) / (1 - chance)
    return raw, _estimate(kappa, influence, -1.0), influence


def _mean_of_pairs(pairs: list[PairAgreement], influences: list[tuple[np.ndarray, np.ndarray | None]], studies: int) -> Estimate:
    """The mean of the pairs that are estimable; a study that several pairs share is one draw."""
    total = np.zeros(studies)
    weight, mean = 0, 0.0
    for pair, (rows, influence) in zip(pairs, influences, strict=True):
        if pair.kappa.value is not None and influence is not None:
            weight += pair.studies
            mean += pair.studies * pair.kappa.value
            total[rows] += influence
    if weight == 0:
        return Estimate(value=None, reason="no pair of readers has enough common studies with calls that vary")
    return _estimate(mean / weight, total * studies / weight, -1.0)


def _estimate(value: float, influence: np.ndarray, lowest: float) -> Estimate:
    """A mean-like statistic with its interval inside `lowest` to 1, from the influence (N,) of each study."""
    error = float(np.sqrt((influence**2).sum() / (len(influence) * (len(influence) - 1))))
    if error < 1e-12:
        return Estimate(value=float(value), reason=_SAME)
    return Estimate(value=float(value), low=max(lowest, float(value) - Z * error), high=min(1.0, float(value) + Z * error))


def _too_few(studies: int, minimum: int) -> Estimate:
    reason = f"assessed by two readers on {studies} {'study' if studies == 1 else 'studies'}; {minimum} are needed"
    return Estimate(value=None, reason=reason)
