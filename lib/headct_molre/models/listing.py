"""What `headct-molre models` says of each model: parameters beside the paper's, licence, weights, and the version served."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..errors import HeadCTError, ModelUnavailable
from .backbones import backbone_names, backbone_spec
from .backbones.spec import BackboneSpec
from .checkpoint import load_card
from .counts import count_parameters
from .locations import backbone_path
from .published import TABLE_2
from .weights import weight_files


def describe_models() -> list[dict[str, Any]]:
    """One row for each model, as JSON: see `describe_model`."""
    return [describe_model(name) for name in backbone_names()]


def describe_model(name: str) -> dict[str, Any]:
    """Counts of parameters, licence and state of one model.

    `weights` is "found" or "missing", `available` whether a trained version can be served, and `reason` why not. `published` is the
    paper's Table 2 in millions, or null.
    """
    spec, paper = backbone_spec(name), TABLE_2.get(name)
    counts = count_parameters(spec)
    return {
        "name": name,
        "title": spec.title,
        "kind": spec.kind,
        "dimension": spec.dimension,
        "backbone_parameters": counts.backbone,
        "total_parameters": counts.total,
        "lora_parameters": counts.lora,
        "molre_parameters": counts.molre,
        "trainable_parameters": counts.trainable,
        "published": None if paper is None else asdict(paper),
        "licence": spec.licence,
        "licence_url": spec.licence_url,
        "hub_id": spec.hub_id,
        "weights": "found" if _found(spec) else "missing",
        "weights_path": str(backbone_path(name)),
        **_served(name),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for a person: millions of parameters, the paper's after a slash, then what is missing."""
    lines = [
        f"{'model':<16}{'kind':<5}{'d':>5}{'backbone':>10}{'LoRA':>7}{'MoLRE / paper':>15}{'total / paper':>16}{'trainable / paper':>19}"
        f"  {'weights':<9}{'version':<12}licence"
    ]
    for row in rows:
        paper = row["published"] or {}
        counts = {
            name: f"{row[f'{name}_parameters'] / 1e6:.{digits}f} / {_number(paper.get(name), digits)}"
            for name, digits in (("molre", 2), ("total", 1), ("trainable", 2))
        }
        version = f"{row['version']}{' (demo)' if row['demo'] else ''}" if row["available"] else "-"
        lines.append(
            f"{row['name']:<16}{row['kind']:<5}{row['dimension']:>5}{row['backbone_parameters'] / 1e6:>10.2f}"
            f"{row['lora_parameters'] / 1e6:>7.2f}{counts['molre']:>15}{counts['total']:>16}{counts['trainable']:>19}"
            f"  {row['weights']:<9}{version:<12}{row['licence']}"
        )
    lines.append("Millions of parameters; after the slash, Table 2 of arXiv 2603.00675. Why some differ: docs/models.md.")
    lines += [f"{row['name']}: {row['reason']}" for row in rows if not row["available"]]
    return "\n".join(lines)


def _found(spec: BackboneSpec) -> bool:
    try:
        return bool(weight_files(spec, backbone_path(spec.name)))
    except ModelUnavailable:
        return False


def _served(name: str) -> dict[str, Any]:
    try:
        card = load_card(name)
    except HeadCTError as error:
        return {"available": False, "reason": error.message}
    return {
        "available": True,
        "version": card.version,
        "backbone": card.backbone,
        "adapter": card.adapter,
        "demo": card.demo,
        "mean_auc": card.mean_auc,
    }


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
