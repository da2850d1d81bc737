"""What differs between two versions of a model, from their cards."""

from __future__ import annotations

from typing import Any

from pydantic import FiniteFloat

from ..errors import InvalidRequest
from ..schema import Contract, ModelCard

# What differs between any two versions, or is compared item by item.
NOT_COMPARED = {
    "schema_",
    "name",
    "version",
    "created",
    "weights_sha256",
    "hyperparameters",
    "cohort",
    "findings",
    "calibration",
    "operating_points",
    "metrics",
    "parent",
    "gate_report",
    "source_sha256",
}


class Change(Contract):
    """One entry of a card; null where a version has none."""

    name: str
    before: FiniteFloat | int | str | bool | list[str] | None
    after: FiniteFloat | int | str | bool | list[str] | None


class MetricChange(Contract):
    """AUC of one finding as each card states it, with how many positive studies it was measured on.

    The studies may be others: this is no comparison of the versions, which the gate makes.
    """

    key: str
    auc_before: FiniteFloat | None
    auc_after: FiniteFloat | None
    positives_before: int | None
    positives_after: int | None


class VersionDiff(Contract):
    """Changes from the version `before` to the version `after`; what is the same is not named.

    `called_gained` and `called_lost` are findings with an operating point in one version only: those the model makes a call of.
    """

    model: str
    before: str
    after: str
    same_weights: bool
    parent: str | None
    card: list[Change]
    hyperparameters: list[Change]
    cohort: list[Change]
    findings_gained: list[str]
    findings_lost: list[str]
    called_gained: list[str]
    called_lost: list[str]
    recalibrated: list[str]
    metrics: list[MetricChange]


def diff_cards(before: ModelCard, after: ModelCard) -> VersionDiff:
    """Changes from one version of a model to another. Raises InvalidRequest for versions of two models."""
    if before.name != after.name:
        message = f"{before.name} and {after.name} are two models: only versions of one model can be compared."
        raise InvalidRequest("different_models", message, field="version")
    fields = [name for name in ModelCard.model_fields if name not in NOT_COMPARED]
    return VersionDiff(
        model=before.name,
        before=before.version,
        after=after.version,
        same_weights=before.weights_sha256 == after.weights_sha256,
        parent=after.parent,
        card=_changes({name: getattr(before, name) for name in fields}, {name: getattr(after, name) for name in fields}),
        hyperparameters=_changes(before.hyperparameters, after.hyperparameters),
        cohort=_changes(before.cohort, after.cohort),
        findings_gained=[key for key in after.findings if key not in before.findings],
        findings_lost=[key for key in before.findings if key not in after.findings],
        called_gained=[key for key in after.operating_points if key not in before.operating_points],
        called_lost=[key for key in before.operating_points if key not in after.operating_points],
        recalibrated=[key for key in after.findings if before.calibration.get(key) != after.calibration.get(key)],
        metrics=_metric_changes(before, after),
    )


def _changes(before: Any, after: Any) -> list[Change]:
    names = [*before, *(name for name in after if name not in before)]
    return [Change(name=name, before=before.get(name), after=after.get(name)) for name in names if before.get(name) != after.get(name)]


def _metric_changes(before: ModelCard, after: ModelCard) -> list[MetricChange]:
    changes = []
    for key in dict.fromkeys([*before.metrics, *after.metrics]):
        old, new = before.metrics.get(key), after.metrics.get(key)
        if old != new:
            changes.append(
                MetricChange(
                    key=key,
                    auc_before=None if old is None else old.auc,
                    auc_after=None if new is None else new.auc,
                    positives_before=None if old is None else old.positives,
                    positives_after=None if new is None else new.positives,
                )
            )
    return changes
