"""What is wrong with a manifest: all of it, each with its row, its column and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from ...errors import InvalidRequest

# A file that is wrong throughout has millions of problems: these are kept, the others are counted.
MOST_KEPT = 1000
MOST_IN_MESSAGE = 3
MOST_CHARACTERS = 80
# Studies and their paths are the user's own names for files; patients are not repeated anywhere.
WITHHELD = frozenset({"patient"})


@dataclass(frozen=True)
class ManifestProblem:
    """One problem or warning; None where it is about no single row, column or value.

    `row` is that of a spreadsheet: the column names are row 1, the first study is row 2, in Parquet too. `value` is the cell as it was
    read, shortened, and None for a patient. `code` is that of a warning, or what the imaging gate refused a study with.
    """

    row: int | None
    column: str | None
    value: str | None
    message: str
    code: str | None = None

    def __str__(self) -> str:
        place = [f"row {self.row}"] if self.row is not None else []
        place += [f"column {self.column}"] if self.column is not None else []
        what = f"{self.value!r} {self.message}" if self.value is not None else self.message
        code = f" [{self.code}]" if self.code else ""
        return f"{', '.join(place)}: {what}{code}" if place else f"{what}{code}"

    def to_json(self) -> dict[str, object]:
        """A plain dictionary for a report that machines read."""
        return asdict(self)


@dataclass
class Problems:
    """The problems found so far: the first `MOST_KEPT` in `kept`, all of them in `total`."""

    kept: list[ManifestProblem] = field(default_factory=list)
    total: int = 0

    def add(self, row: int | None, column: str | None, value: str | None, message: str, code: str | None = None) -> None:
        """Note a problem; a value that may not be repeated is left out."""
        self.total += 1
        if len(self.kept) < MOST_KEPT:
            shown = None if value is None or column in WITHHELD else _shown(value)
            self.kept.append(ManifestProblem(row, column, shown, message, code))

    def raise_if_any(self, name: str) -> None:
        """Raises InvalidManifest about the file `name` where there is a problem."""
        if self.total:
            raise InvalidManifest.about(name, sorted(self.kept, key=lambda problem: problem.row or 0), self.total)


class InvalidManifest(InvalidRequest):
    """A manifest that cannot be used: `problems` holds up to 1000 of its `total` problems, in the order of rows."""

    def __init__(self, code: str, message: str, *, problems: Sequence[ManifestProblem] = (), total: int = 0) -> None:
        super().__init__(code, message, field="manifest")
        self.problems = tuple(problems)
        self.total = total

    @classmethod
    def about(cls, name: str, problems: Sequence[ManifestProblem], total: int) -> InvalidManifest:
        """The error whose message lists the first few problems of the file `name`."""
        first = "; ".join(str(problem) for problem in problems[:MOST_IN_MESSAGE])
        more = total - min(len(problems), MOST_IN_MESSAGE)
        rest = f"; and {more} more, which headct-molre cohort check lists" if more else ""
        message = f"{name} has {count(total, 'problem')}: {first}{rest}."
        return cls("invalid_manifest", message, problems=problems, total=total)

    def __reduce__(self) -> tuple[partial[InvalidManifest], tuple[str, str]]:  # type: ignore[override]
        return partial(type(self), problems=self.problems, total=self.total), (self.code, self.message)


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 problem, 2 problems, 2 studies."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _shown(value: str) -> str:
    """The start of a cell on one line; what cannot be printed is escaped."""
    cut = value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
