"""Labels, which are not stored but derived from submissions by a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from ...errors import InvalidRequest
from ...schema import State

# The calls on one finding, one for each reader who assessed it and at least one, in the order of their arrival.
Votes = Sequence[State]
DEFAULT_RULE = "majority"


def majority(votes: Votes) -> State:
    """What most readers say; a tie is uncertain."""
    (state, most), *others = Counter(votes).most_common(2)
    return "uncertain" if others and others[0][1] == most else state


def unanimous(votes: Votes) -> State:
    """What all readers say; uncertain where they differ."""
    return votes[0] if len(set(votes)) == 1 else "uncertain"


def latest(votes: Votes) -> State:
    """What was said last, by whoever it was."""
    return votes[-1]


def any_present(votes: Votes) -> State:
    """Present where any reader says so, then uncertain where any says so, else absent: for screening, where a miss costs most."""
    return next(state for state in ("present", "uncertain", "absent") if state in votes)


LABEL_RULES: dict[str, Callable[[Votes], State]] = {rule.__name__: rule for rule in (majority, unanimous, latest, any_present)}


class ReadersCalls(Protocol):
    """What a label follows from: a Submission, or as much of it."""

    @property
    def reader(self) -> str: ...

    @property
    def findings(self) -> Mapping[str, State]: ...


def derive_label(submissions: Iterable[ReadersCalls], rule: str = DEFAULT_RULE) -> dict[str, State]:
    """{key: state} by one of LABEL_RULES over the readers, each with the latest of their submissions.

    `submissions` come in the order of their arrival. A reader's later submission replaces the earlier one as a whole.
    not_assessed never counts; a finding that nobody assessed is not in the label. Raises InvalidRequest `unknown_label_rule`.
    """
    combine = LABEL_RULES[checked_rule(rule)]
    by_reader: dict[str, ReadersCalls] = {}
    for submission in submissions:
        by_reader.pop(submission.reader, None)  # so that the order is that of the latest submissions
        by_reader[submission.reader] = submission
    votes: dict[str, list[State]] = {}
    for submission in by_reader.values():
        for key, state in submission.findings.items():
            if state != "not_assessed":
                votes.setdefault(key, []).append(state)
    return {key: combine(states) for key, states in votes.items()}


def checked_rule(rule: str) -> str:
    """The name, when there is such a rule. Raises InvalidRequest `unknown_label_rule`."""
    if rule not in LABEL_RULES:
        raise InvalidRequest("unknown_label_rule", f"There are the label rules {', '.join(LABEL_RULES)}.", field="label_rule")
    return rule
