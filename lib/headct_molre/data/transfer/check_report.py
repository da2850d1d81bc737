"""What the check of a store found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Inconsistency:
    """`count` things of one kind, a few of them by name; `repairable` by computing again what is derived, `harmless` where a remark."""

    code: str
    message: str
    count: int
    examples: tuple[str, ...]
    repairable: bool = False
    harmless: bool = False

    def __str__(self) -> str:
        named = f": {', '.join(self.examples)}" if self.examples else ""
        more = ", ..." if self.count > len(self.examples) > 0 else ""
        kind = "remark" if self.harmless else "repairable" if self.repairable else "wrong"
        return f"{kind}: {self.count} {self.message}{named}{more} [{self.code}]"


@dataclass
class StoreReport:
    """What was looked at, in numbers, what is wrong, and how many studies were repaired."""

    counts: dict[str, int] = field(default_factory=dict)
    found: list[Inconsistency] = field(default_factory=list)
    repaired: int = 0

    @property
    def consistent(self) -> bool:
        """Whether nothing is wrong, remarks aside."""
        return all(each.harmless for each in self.found)

    def note(self, code: str, message: str, names: Sequence[object], *, repairable: bool = False, harmless: bool = False) -> None:
        """Note an inconsistency of these things, if there are any."""
        if names:
            examples = tuple(str(name) for name in names[:MOST_EXAMPLES])
            self.found.append(Inconsistency(code, message, len(names), examples, repairable, harmless))

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        found = [asdict(each) for each in self.found]
        return {"consistent": self.consistent, "counts": self.counts, "repaired": self.repaired, "inconsistencies": found}
