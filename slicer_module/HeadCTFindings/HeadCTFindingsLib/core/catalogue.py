"""The 75 findings as the server names them, and which of them are one thing seen twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import NotReadable

ACUITIES = ("critical", "urgent", "routine")

# The taxonomy has the general and the particular side by side. A finding on the left is always one on the right as well.
KIND_OF = {
    "basal_ganglia_hemorrhage": "intraparenchymal_hemorrhage",
    "thalamic_hemorrhage": "intraparenchymal_hemorrhage",
    "lobar_hemorrhage": "intraparenchymal_hemorrhage",
    "brainstem_hemorrhage": "intraparenchymal_hemorrhage",
    "cerebellar_hemorrhage": "intraparenchymal_hemorrhage",
    "subfalcine_herniation": "mass_effect",
    "transtentorial_uncal_herniation": "mass_effect",
}
# What is seen together with the one on the right, and often the same thing: shown below it, though either may come without the other.
SIGN_OF = {
    "hydrocephalus": "ventricular_enlargement",
    "midline_shift": "mass_effect",
    "loss_of_insular_ribbon": "acute_infarct",
    "loss_of_gray_white_differentiation": "acute_infarct",
    "tonsillar_herniation": "mass_effect",
    "basal_cistern_effacement": "mass_effect",
    "sulcal_effacement": "mass_effect",
}


@dataclass(frozen=True)
class Finding:
    """One finding of the taxonomy; `parent` is the key that it is shown below, `kind_of` the key that it implies."""

    index: int
    key: str
    name: str
    category: str
    definition: str
    synonyms: tuple[str, ...]
    acuity: str
    laterality: bool
    windows: tuple[str, ...]
    parent: str | None
    kind_of: str | None

    @property
    def tooltip(self) -> str:
        """Definition and synonyms as plain text in lines."""
        lines = [self.name, self.definition]
        if self.synonyms:
            lines.append("Also: " + ", ".join(self.synonyms))
        if self.laterality:
            lines.append("The model does not say on which side.")
        return "\n".join(lines)

    def matches(self, words: Sequence[str]) -> bool:
        """Whether each of the lower-case words is part of the name, the key or a synonym."""
        text = " ".join((self.name, self.key, *self.synonyms)).lower()
        return all(word in text for word in words)


class Catalogue:
    """The findings in taxonomy order."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        self._by_key = {finding.key: finding for finding in self.findings}
        self._children: dict[str, tuple[str, ...]] = {}
        for finding in self.findings:
            if finding.parent is not None:
                self._children[finding.parent] = (*self._children.get(finding.parent, ()), finding.key)

    @classmethod
    def from_json(cls, document: Any) -> Catalogue:
        """From the answer of `/headct/findings`. Raises NotReadable that names the entry and field."""
        if not isinstance(document, list) or not document:
            raise NotReadable("the list of findings is empty or no list")
        known = {entry.get("key") for entry in document if isinstance(entry, Mapping)}
        return cls(_finding(entry, number, known) for number, entry in enumerate(document))

    def __len__(self) -> int:
        return len(self.findings)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> Finding:
        return self._by_key[key]

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys in taxonomy order."""
        return tuple(self._by_key)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories in the order of their first finding."""
        return tuple(dict.fromkeys(finding.category for finding in self.findings))

    def name(self, key: str) -> str:
        """The name to show; the key itself where the server knows more findings than its list."""
        return self._by_key[key].name if key in self._by_key else key

    def children(self, key: str) -> tuple[str, ...]:
        """Keys of the findings that are shown below this one."""
        return self._children.get(key, ())

    def ancestors(self, key: str) -> tuple[str, ...]:
        """Keys of the findings above this one, the nearest first."""
        return self._chain(key, "parent")

    def implied(self, key: str) -> tuple[str, ...]:
        """Keys of the findings that are present whenever this one is, the nearest first."""
        return self._chain(key, "kind_of")

    def _chain(self, key: str, link: str) -> tuple[str, ...]:
        chain: list[str] = []
        above = getattr(self._by_key[key], link)
        while above is not None:
            chain.append(above)
            above = getattr(self._by_key[above], link)
        return tuple(chain)


def _finding(entry: Any, number: int, known: set[Any]) -> Finding:
    def text(name: str) -> str:
        value = entry.get(name) if isinstance(entry, Mapping) else None
        if not isinstance(value, str) or not value:
            raise NotReadable(f"finding {number} of the list has no {name}")
        return value

    def texts(name: str) -> tuple[str, ...]:
        return tuple(str(value) for value in entry.get(name) or ())

    key = text("key")
    kind_of = KIND_OF.get(key)
    parent = kind_of or SIGN_OF.get(key)
    return Finding(
        index=number,
        key=key,
        name=text("display_name"),
        category=text("category"),
        definition=text("definition"),
        synonyms=texts("synonyms"),
        acuity=text("acuity"),
        laterality=bool(entry.get("laterality")),
        windows=texts("hu_windows"),
        parent=parent if parent in known else None,
        kind_of=kind_of if kind_of in known else None,
    )
