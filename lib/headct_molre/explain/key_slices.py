"""The slices that carry most of a finding's evidence: all that a heat map shows, and all that it costs."""

from __future__ import annotations

import numpy as np

# As few slices as hold this share of the positive evidence, and no more than this much of the head.
EVIDENCE_SHARE = 0.8
MOST_MM = 32.0
# Positive evidence below this many logits moves the odds by less than 5 %; there is then nothing to show.
LEAST_LOGITS = 0.05


def key_slices(evidence: np.ndarray, thickness_mm: float) -> np.ndarray:
    """Indices, rising, of the slices that carry most positive evidence (S,) in logits; none where there is next to none.

    They hold EVIDENCE_SHARE of it, or are the best that lie in MOST_MM of slices `thickness_mm` thick.
    """
    positive = np.maximum(evidence, 0)
    total = positive.sum()
    if total < LEAST_LOGITS:
        return np.empty(0, dtype=int)
    order = np.argsort(-positive, kind="stable")
    needed = int(np.searchsorted(np.cumsum(positive[order]), EVIDENCE_SHARE * total)) + 1
    return np.sort(order[: min(needed, max(int(MOST_MM / thickness_mm), 1))])
