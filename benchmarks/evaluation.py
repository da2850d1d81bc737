"""What an evaluation costs: DeLong and the bootstrap against scikit-learn's loop, each as a ratio in one run on one core.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py [--studies 7214] [--replicates 1000]
    python benchmarks/evaluation.py --example FOLDER [--studies 1500]

The first prints one JSON object of CPU seconds, and checks on the way that the numbers are the same. scikit-learn's bootstrap is timed on
few replicates and findings and scaled up. The second writes a manifest and the scores of two simulated models, to try
`headct-molre evaluate` on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from headct_molre.evaluation.auc import finding_placements
from headct_molre.evaluation.bootstrap import bootstrap, multiplicities
from headct_molre.evaluation.calibration import fit_calibration
from headct_molre.evaluation.delong import Placements, auc_estimates, paired_test
from headct_molre.evaluation.evaluate import evaluate_cohort
from headct_molre.evaluation.report import report_page
from headct_molre.evaluation.scores import write_scores
from headct_molre.findings import finding_keys
from simulated_cohort import simulated, write_manifest

T = TypeVar("T")
SAMPLE_REPLICATES, SAMPLE_FINDINGS = 5, 15


def main() -> None:
    """Measure and print, or write the example."""
    parser = argparse.ArgumentParser(description="Time the evaluation of simulated scores.")
    parser.add_argument("--studies", type=int, default=7214)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--example", type=Path, metavar="FOLDER", help="write a simulated cohort and scores instead")
    options = parser.parse_args()
    if options.example is not None:
        write_example(options.example, options.studies)
        return
    cohort, better, worse = simulated(options.studies, seed=1, not_assessed=0.0, uncertain=0.0)
    truth, patients, keys = cohort.labels().astype(np.float64), cohort.patients, finding_keys()
    single, intervals = timed(lambda: [auc_estimates(one) for one in estimable(truth, better.logits)])
    paired, _ = timed(lambda: [(auc_estimates(one), paired_test(one)) for one in estimable(truth, better.logits, worse.logits)])
    drawing, drawn = timed(lambda: bootstrap(truth, (better.logits,), patients, options.replicates))
    loop, disagreement = sklearn_bootstrap(truth, better.logits, patients, drawn.auc[0])
    calibrating, _ = timed(lambda: fit_calibration(truth, better.logits, keys))
    judging, report = timed(lambda: evaluate_cohort(cohort, better, against=worse, replicates=options.replicates))
    drawing_page, page = timed(lambda: report_page(report))
    whole_loop = loop * options.replicates
    result = {
        "studies": options.studies,
        "findings": len(intervals),
        "replicates": options.replicates,
        "delong_s": single,
        "paired_delong_s": paired,
        "bootstrap_s": drawing,
        "sklearn_bootstrap_s_extrapolated": whole_loop,
        "sklearn_bootstrap_over_delong": whole_loop / single,
        "sklearn_bootstrap_over_bootstrap": whole_loop / drawing,
        "largest_difference_to_sklearn": disagreement,
        "calibration_fit_s": calibrating,
        "evaluation_with_comparison_and_subgroups_s": judging,
        "page_s": drawing_page,
        "page_mb": len(page.encode()) / 1e6,
    }
    print(json.dumps({name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in result.items()}, indent=2))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of the work, and what it gave."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def estimable(truth: np.ndarray, *scores: np.ndarray) -> list[Placements]:
    """Placements of the findings that have them."""
    return [one for one in finding_placements(truth, *scores) if isinstance(one, Placements)]


def sklearn_bootstrap(truth: np.ndarray, score: np.ndarray, patients: np.ndarray, ours: np.ndarray) -> tuple[float, float]:
    """CPU seconds of one replicate of all findings by scikit-learn, and the largest difference to ours over the sample."""
    draws = next(iter(multiplicities(patients, len(ours[0]), 0)))
    chosen = np.flatnonzero(np.isfinite(ours).all(1))[:: max(1, ours.shape[0] // SAMPLE_FINDINGS)]
    differences, started = [], time.process_time()
    for replicate in range(SAMPLE_REPLICATES):
        rows = np.repeat(np.arange(len(truth)), draws[:, replicate])
        for column in chosen:
            differences.append(abs(roc_auc_score(truth[rows, column], score[rows, column]) - ours[column, replicate]))
    seconds = (time.process_time() - started) / SAMPLE_REPLICATES
    return seconds * np.isfinite(ours).all(1).sum() / len(chosen), float(max(differences))


def write_example(folder: Path, studies: int) -> None:
    """`cohort.csv`, `molre.csv` and `baseline.csv`: no images, only what `headct-molre evaluate --scores` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    cohort, better, worse = simulated(studies, seed=0)
    write_manifest(cohort, folder / "cohort.csv")
    write_scores(better, folder / "molre.csv")
    write_scores(worse, folder / "baseline.csv")
    print(f"A simulated cohort of {studies} studies and the scores of two models written to {folder}")


if __name__ == "__main__":
    main()
