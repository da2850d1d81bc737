"""A Prediction of the server as arrays, and what may be said of each finding.

Below the threshold a finding is "not detected, not ruled out"; where the version was never tested on it, it is "not assessed by this
model". Nothing here ever reads as ruled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import NotReadable
from .frame import Frame

SCHEMA = "headct.prediction/1"
NOT_DETECTED = "not detected, not ruled out"
NOT_ASSESSED = "not assessed by this model"
ABOVE = "above threshold"
RESEARCH_USE = "Research use, not a device. A finding that is not detected is not ruled out."
DEMO = "DEMO MODEL, trained on synthetic phantoms: its figures say nothing about patients."

# As few slices as hold this share of the positive evidence; and no evidence worth showing moves the odds by less than 5 %. As the
# server's own heat maps choose them (headct_molre.explain.key_slices).
_EVIDENCE_SHARE = 0.8
_LEAST_LOGITS = 0.05


@dataclass(frozen=True)
class Remark:
    """One warning of the quality gate."""

    code: str
    message: str
    value: float | None


@dataclass(frozen=True)
class PredictionView:
    """One model version on one study: F findings, S slices, K experts.

    probability, logit, bias (F,); operating_point (F,) NaN where there is none; positive, estimable (F,) bool; attention (S,); router
    (S, K), all rows the same where `router_level` is "volume", K = 0 without a router; evidence (F, S) in logits; centres (S, 3) RAS in mm.
    """

    study: str
    model: str
    version: str
    backbone: str
    demo: bool
    device: str
    keys: tuple[str, ...]
    probability: np.ndarray
    logit: np.ndarray
    bias: np.ndarray
    operating_point: np.ndarray
    positive: np.ndarray
    estimable: np.ndarray
    router_level: str | None
    attention: np.ndarray
    router: np.ndarray
    evidence: np.ndarray
    centres: np.ndarray
    frame: Frame
    accepted: bool
    warnings: tuple[Remark, ...]
    facts: Mapping[str, Any]
    timing_ms: Mapping[str, float]

    @classmethod
    def from_json(cls, document: Any) -> PredictionView:
        """From the server's JSON. Raises NotReadable that names the part that is not as docs/http.md says."""
        try:
            if document["schema"] != SCHEMA:
                raise NotReadable(f"the prediction has the schema {document['schema']!r}; this module reads {SCHEMA}")
            findings, slices, model, frame, quality = (document[part] for part in ("findings", "slices", "model", "frame", "quality"))
            points = [np.nan if each["operating_point"] is None else each["operating_point"] for each in findings]
            view = cls(
                study=document["study"],
                model=model["name"],
                version=model["version"],
                backbone=model["backbone"],
                demo=bool(model["demo"]),
                device=document["device"],
                keys=tuple(each["key"] for each in findings),
                probability=np.array([each["probability"] for each in findings], dtype=float),
                logit=np.array([each["logit"] for each in findings], dtype=float),
                bias=np.array([each["bias"] for each in findings], dtype=float),
                operating_point=np.array(points, dtype=float),
                positive=np.array([bool(each["positive"]) for each in findings], dtype=bool),
                estimable=np.array([bool(each["estimable"]) for each in findings], dtype=bool),
                router_level=document["router_level"],
                attention=np.array([each["attention"] for each in slices], dtype=float),
                router=np.array([each["router"] for each in slices], dtype=float).reshape(len(slices), -1 if slices else 0),
                evidence=np.array(document["evidence"], dtype=float).reshape(len(findings), len(slices)),
                centres=np.array([each["center_ras"] for each in slices], dtype=float).reshape(len(slices), 3),
                frame=Frame(np.array(frame["model_to_ras"], dtype=float), tuple(int(size) for size in frame["shape"])),  # type: ignore[arg-type]
                accepted=bool(quality["accepted"]),
                warnings=tuple(Remark(each["code"], each["message"], each.get("value")) for each in quality["warnings"]),
                facts=dict(quality["facts"]),
                timing_ms=dict(document["timing_ms"]),
            )
            for part in ("probability", "logit", "bias", "attention", "router", "evidence", "centres"):
                if not np.isfinite(getattr(view, part)).all():
                    raise NotReadable(f"the prediction has numbers in {part} that are not finite")
            if view.frame.slices != view.slices:
                raise NotReadable(f"the prediction has {view.slices} slices and a frame of {view.frame.slices}")
        except NotReadable:
            raise
        except KeyError as error:
            raise NotReadable(f"the prediction lacks {error.args[0]!r}") from None
        except (TypeError, ValueError) as error:
            raise NotReadable(f"the prediction is not as it should be: {error}") from None
        return view

    @property
    def slices(self) -> int:
        """How many slices the model saw."""
        return len(self.attention)

    @property
    def experts(self) -> int:
        """How many experts the router chose from; 0 without a router."""
        return int(self.router.shape[1])

    @property
    def title(self) -> str:
        """Which version spoke, for the head of the table; a demo says so."""
        return f"{self.model} {self.version}{' · DEMO' if self.demo else ''}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines that stand wherever a probability stands."""
        return (DEMO, RESEARCH_USE) if self.demo else (RESEARCH_USE,)

    def index(self, key: str) -> int:
        """The row of a finding. Raises KeyError."""
        try:
            return self.keys.index(key)
        except ValueError:
            raise KeyError(key) from None

    def statement(self, key: str) -> str:
        """What may be said of a finding."""
        row = self.index(key)
        if not self.estimable[row]:
            return NOT_ASSESSED
        return ABOVE if self.positive[row] else NOT_DETECTED

    def evidence_of(self, key: str) -> np.ndarray:
        """How much each slice adds to the finding's logit, (S,)."""
        return np.asarray(self.evidence[self.index(key)])

    def key_slices(self, key: str) -> tuple[int, ...]:
        """The slices that carry most of the positive evidence, rising; none where there is next to none."""
        positive = np.maximum(self.evidence_of(key), 0)
        total = float(positive.sum())
        if total < _LEAST_LOGITS:
            return ()
        order = np.argsort(-positive, kind="stable")
        needed = int(np.searchsorted(np.cumsum(positive[order]), _EVIDENCE_SHARE * total)) + 1
        return tuple(int(index) for index in np.sort(order[:needed]))

    def best_slice(self, key: str) -> int | None:
        """The slice of most evidence; None where no slice speaks for the finding."""
        evidence = self.evidence_of(key)
        if not len(evidence) or float(evidence.max()) <= 0:
            return None
        return int(evidence.argmax())

    def top_findings(self, index: int, count: int = 3) -> tuple[tuple[str, float], ...]:
        """Findings above their threshold for which a slice speaks most: (key, logits), the strongest first."""
        evidence = np.where(self.positive, self.evidence[:, index], -np.inf)
        order = np.argsort(-evidence, kind="stable")[:count]
        return tuple((self.keys[row], float(evidence[row])) for row in order if evidence[row] > _LEAST_LOGITS)
