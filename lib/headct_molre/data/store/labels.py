"""Labels, which are not stored but derived from submissions by a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...schema import State, Submission


def derive_label(submissions: Iterable[Submission]) -> dict[str, State]:
    """{key: state} by the majority of the readers, each with the latest of their submissions; a tie is uncertain.

    `submissions` come in the order of their arrival. A reader's later submission replaces the earlier one as a whole.
    not_assessed never counts; a finding that nobody assessed is not in the label.
    """
    latest = {submission.reader: submission for submission in submissions}
    votes: dict[str, Counter[State]] = {}
    for submission in latest.values():
        for key, state in submission.findings.items():
            if state != "not_assessed":
                votes.setdefault(key, Counter())[state] += 1
    return {key: _majority(counter) for key, counter in votes.items()}


def _majority(counter: Counter[State]) -> State:
    (state, most), *others = counter.most_common(2)
    return "uncertain" if others and others[0][1] == most else state
