"""The statistics of a cohort in words and columns, for a terminal."""

from __future__ import annotations

from .cohort import Cohort
from .remarks import FEWEST_POSITIVES
from .stats import CohortStats, FindingCounts, cohort_stats

MOST_PAIRS_PRINTED = 5


def split_report(cohort: Cohort) -> str:
    """The size of each split, and how far its prevalences are from those of the whole cohort."""
    stats = cohort_stats(cohort)
    columns = f"{'':12}{'studies':>9}{'share':>8}{'patients':>10}"
    lines = [f"{columns}{f'below {FEWEST_POSITIVES} positives':>20}  largest difference of a prevalence"]
    for split, group in stats.splits.items():
        few = sum(counts.present < FEWEST_POSITIVES for counts in group.findings if _assessed(counts))
        size = f"{group.studies:9}{group.studies / stats.all.studies:8.1%}{group.patients:10}"
        lines.append(f"{split:12}{size}{f'{few} findings':>20}  {_difference(group.findings, stats)}")
    return "\n".join(lines)


def stats_report(stats: CohortStats) -> str:
    """Sizes, positives and prevalence of each finding by split, and the commonest pairs."""
    names = list(stats.splits)
    width = max(len(counts.key) for counts in stats.all.findings)
    lines = [f"{'':{width}}" + "".join(f"{name:>20}" for name in ("all", *names))]
    groups = [stats.all, *stats.splits.values()]
    for title, values in (
        ("studies", [str(group.studies) for group in groups]),
        ("patients", [str(group.patients) for group in groups]),
        ("findings present in a study", [f"{group.cardinality:.2f}" for group in groups]),
        ("states assessed", [f"{group.assessed:.1%}" for group in groups]),
    ):
        lines.append(f"{title:{width}}" + "".join(f"{value:>20}" for value in values))
    lines.append("")
    nowhere = 0
    for place, counts in enumerate(stats.all.findings):
        if not _assessed(counts):
            nowhere += 1
            continue
        lines.append(f"{counts.key:{width}}" + "".join(f"{_prevalence(group.findings[place]):>20}" for group in groups))
    if nowhere:
        lines.append(f"{nowhere} findings are not assessed in any study.")
    for pair in stats.pairs[:MOST_PAIRS_PRINTED]:
        lines.append(f"together in {pair.both} studies ({pair.expected:g} by chance): {pair.first}, {pair.second}")
    return "\n".join(lines)


def _assessed(counts: FindingCounts) -> bool:
    return counts.present + counts.absent + counts.uncertain > 0


def _prevalence(counts: FindingCounts) -> str:
    known = counts.present + counts.absent
    return f"{counts.present}/{known} {counts.prevalence:7.2%}" if counts.prevalence is not None else f"{counts.present}/{known}       -"


def _difference(findings: tuple[FindingCounts, ...], stats: CohortStats) -> str:
    differences = [
        (abs(counts.prevalence - whole.prevalence), counts.key)
        for counts, whole in zip(findings, stats.all.findings, strict=True)
        if counts.prevalence is not None and whole.prevalence is not None
    ]
    if not differences:
        return "-"
    largest, key = max(differences)
    return f"{largest * 100:.2f} points ({key})"
