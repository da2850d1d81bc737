"""Held-out evaluation on fresh phantoms that go through the whole chain as files, like a user's study."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import trange

from ..data.phantom import make_phantom, write_study
from ..data.phantom.lesions import DRAWABLE
from ..errors import StudyRefused
from ..findings import finding_keys, positions
from ..imaging.pipeline import prepare_study
from ..models.backbones.demo import SPEC
from ..models.classifier import HeadCTClassifier
from ..predict import run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FreshScores:
    """Truth (N, 75) of 1, 0 and NaN, raw logits (N, 75), and how many phantoms the gate refused."""

    truth: np.ndarray
    logits: np.ndarray
    refused: int


def score_fresh_phantoms(classifier: HeadCTClassifier, first_seed: int, count: int, folder: Path) -> FreshScores:
    """Write, read, gate, align, prepare and classify `count` phantoms; the files are removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    where = positions(DRAWABLE, within=finding_keys())
    truth, logits, refused = [], [], 0
    for seed in trange(first_seed, first_seed + count, desc="fresh phantoms", mininterval=10):
        phantom = make_phantom(seed)
        path = folder / f"{seed}.nii.gz"
        write_study(phantom, path)
        try:
            prepared = prepare_study(path).prepared
        except StudyRefused as refusal:
            logger.warning("phantom %d refused: %s", seed, refusal.message)
            refused += 1
            continue
        finally:
            path.unlink()
        scores = run(classifier, SPEC, prepared, "cpu")
        row = np.full(len(finding_keys()), np.nan)
        row[where] = [key in phantom.planted for key in DRAWABLE]
        truth.append(row)
        logits.append(scores["evidence"].sum(1) + scores["bias"])
    shutil.rmtree(folder, ignore_errors=True)
    return FreshScores(np.array(truth), np.array(logits), refused)
