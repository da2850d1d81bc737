"""The gate's report in plain words: better by how much, on how many studies, and where there was no data to judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .catalogue import Catalogue
from .errors import NotReadable

SCHEMA = "headct.gate/1"
HEADLINES = {
    "promote": "{candidate} is better than {champion}.",
    "hold": "{candidate} waits; {champion} goes on serving.",
    "reject": "{candidate} is rejected; {champion} goes on serving.",
}
VERDICTS = {
    "not_inferior": "not worse",
    "worse": "worse",
    "not_shown": "a loss is not excluded",
    "mean_only": "too few studies to judge by itself",
    "no_data": "no data to judge",
}


@dataclass(frozen=True)
class FindingVerdict:
    """The gate on one finding; `change` is that of the AUC, None where it could not be measured."""

    key: str
    verdict: str
    positives: int
    negatives: int
    change: float | None

    def text(self, catalogue: Catalogue) -> str:
        """One line."""
        change = "" if self.change is None else f", AUC {self.change:+.3f}"
        verdict = VERDICTS.get(self.verdict, self.verdict)
        return f"{catalogue.name(self.key)}: {verdict}{change} ({self.positives} with, {self.negatives} without)"


@dataclass(frozen=True)
class GateSummary:
    """What the gate decided of a candidate, and on what. `change` (of the mean AUC) is None where nothing could be compared."""

    candidate: str
    champion: str
    outcome: str
    automatic: bool
    demo: bool
    studies: int
    patients: int
    change: float | None
    low: float | None
    high: float | None
    judged: int
    reasons: tuple[str, ...]
    summary: tuple[str, ...]
    caution: str
    findings: tuple[FindingVerdict, ...]

    @classmethod
    def from_json(cls, document: Any) -> GateSummary:
        """From `Client.gate`. Raises NotReadable."""
        try:
            if document["schema"] != SCHEMA:
                raise NotReadable(f"the gate's report has the schema {document['schema']!r}; this module reads {SCHEMA}")
            sample = document["corrections"]
            difference = sample["difference"]
            return cls(
                candidate=str(document["candidate"]["version"]),
                champion=str(document["champion"]["version"]),
                outcome=str(document["outcome"]),
                automatic=document["policy"]["decision"] == "automatic",
                demo=bool(document["candidate"]["demo"]),
                studies=int(sample["studies"]),
                patients=int(sample["patients"]),
                change=difference["value"],
                low=difference["low"],
                high=difference["high"],
                judged=int(difference["findings"]),
                reasons=tuple(str(reason["sentence"]) for reason in document["reasons"]),
                summary=tuple(str(sentence) for sentence in document["summary"]),
                caution=str(document["caution"]),
                findings=tuple(
                    FindingVerdict(
                        str(each["key"]), str(each["verdict"]), int(each["positives"]), int(each["negatives"]), each["difference"]
                    )
                    for each in document["findings"]
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, NotReadable):
                raise
            raise NotReadable(f"the gate's report is not as it should be: {error}") from None

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        text = HEADLINES.get(self.outcome, "{candidate}: " + self.outcome)
        return text.format(candidate=self.candidate, champion=self.champion)

    @property
    def how_much(self) -> str:
        """Better by how much, on how many studies."""
        on = f"{self.studies} held-out studies of {self.patients} patients"
        if self.change is None:
            return f"Nothing can be compared on {on}."
        interval = "" if self.low is None or self.high is None else f" (interval {self.low:+.3f} to {self.high:+.3f})"
        word = "unchanged" if self.change == 0 else "better" if self.change > 0 else "worse"
        by = "" if self.change == 0 else f" by {abs(self.change):.3f}"
        return f"Mean AUC over {self.judged} findings {word}{by}{interval}, on {on}."

    @property
    def silent(self) -> tuple[str, ...]:
        """Keys of the findings of which nothing can be said."""
        return tuple(each.key for each in self.findings if each.verdict == "no_data")

    @property
    def worse(self) -> tuple[str, ...]:
        """Keys of the findings that are worse."""
        return tuple(each.key for each in self.findings if each.verdict == "worse")

    def lines(self, catalogue: Catalogue) -> tuple[str, ...]:
        """The whole report for a panel: outcome, how much, why, worse findings, where there was no data, caution."""
        lines = [self.headline, self.how_much, *self.reasons]
        if self.worse:
            lines.append("Worse: " + ", ".join(catalogue.name(key) for key in self.worse) + ".")
        if self.silent:
            lines.append(f"No data to judge {len(self.silent)} of {len(self.findings)} findings; for them nothing is known either way.")
        if self.demo:
            lines.append("A demo model: these figures say nothing about patients.")
        return (*lines, self.caution)

    @property
    def needs_reason(self) -> bool:
        """Whether a person who promotes it has to say why: the gate did not say promote."""
        return self.outcome != "promote"
