"""What the paper reports of each model: Table 2 of arXiv 2603.00675, as printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row: millions of parameters and mean AUC over 75 findings, `base_auc` without and `auc` with MoLRE; None where a dash stands."""

    total: float
    trainable: float
    molre: float | None
    base_auc: float
    auc: float | None


TABLE_2 = {
    "dinov3_base": Published(86.6, 0.59, 0.28, 0.856, 0.902),
    "dinov3_large": Published(305.2, 1.18, 0.37, 0.910, 0.913),
    "medimageinsight": Published(364.3, 1.42, 0.37, 0.863, 0.876),
    "medgemma": Published(431.1, 1.68, 0.41, 0.874, 0.917),
    "pillar0_headct": Published(113.9, 113.9, 0.41, 0.891, 0.893),
    "deepcntd": Published(6.9, 1.08, None, 0.832, None),
}
