"""A gate report (`headct.gate/1`) in the few words that fit into a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_VERDICTS = {
    "promote": "The gate says: promote.",
    "hold": "The gate says: hold. The served version stays.",
    "reject": "The gate says: reject. The served version stays.",
}
_NAMED = 5  # findings without data are named up to this many; the page has all


@dataclass(frozen=True)
class GateWords:
    """What the panel shows of one report; `silent` names findings without data."""

    outcome: str
    verdict: str
    versions: str
    demo: bool
    sentences: tuple[str, ...]
    silent: str


def in_words(report: Mapping[str, Any], name_of: Callable[[str], str]) -> GateWords:
    """The words of a report as the server sends it; what a later server leaves out is left out here."""
    outcome = str(report.get("outcome", "hold"))
    champion, candidate = report.get("champion") or {}, report.get("candidate") or {}
    silent = [name_of(each["key"]) for each in report.get("findings") or () if each.get("verdict") == "no_data"]
    named = ", ".join(silent[:_NAMED]) + (f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else "")
    return GateWords(
        outcome=outcome,
        verdict=_VERDICTS.get(outcome, f"The gate says: {outcome}."),
        versions=f"{candidate.get('version', '?')} against {champion.get('version', '?')}",
        demo=bool(candidate.get("demo")),
        sentences=tuple(str(sentence) for sentence in report.get("summary") or ()),
        silent=named,
    )
