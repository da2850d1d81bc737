"""The documented command under torchrun: a whole run of the demo backbone by two processes, beside one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from headct_molre.data.phantom import LABELS_FILE, write_cohort
from headct_molre.evaluation.scores import read_scores

SETTINGS = ["min_epochs=2", "max_epochs=2", "selection_minimum=1", "batch_studies=4", "precision=fp32", "lora=false", "features=cached"]


@pytest.mark.slow
def test_two_processes_score_as_one(tmp_path):
    write_cohort(tmp_path / "cohort", 16, matrix=128, split=True, workers=2, fractions=(0.5, 0.25, 0.25))
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "HEADCT_MOLRE_CACHE": str(tmp_path / "cache")}
    for processes in (1, 2):
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        start += ["-m", "headct_molre.training", str(tmp_path / "cohort" / LABELS_FILE), "--model", "demo", "--device", "cpu"]
        start += ["--out", str(tmp_path / f"run-{processes}"), *(f"--set={setting}" for setting in SETTINGS)]
        done = subprocess.run(start, env=environ, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    records = [json.loads((tmp_path / f"run-{processes}" / "run.json").read_text()) for processes in (1, 2)]
    assert [record["processes"] for record in records] == [1, 2]
    assert records[0]["best_validation_auc"] == pytest.approx(records[1]["best_validation_auc"], abs=1e-6)
    one, two = (read_scores(tmp_path / f"run-{processes}" / "scores" / "test.csv") for processes in (1, 2))
    assert one.studies == two.studies
    np.testing.assert_allclose(two.logits, one.logits, atol=1e-4)
