"""A reader's calls on one study, with undo and redo: present, uncertain, absent, and not assessed for what nobody looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .catalogue import Catalogue
from .errors import NotReadable

PRESENT, UNCERTAIN, ABSENT, NOT_ASSESSED = "present", "uncertain", "absent", "not_assessed"
STATES = (PRESENT, UNCERTAIN, ABSENT)
SCHEMA = "headct.calls/1"
MOST_COMMENT = 10_000  # characters, as the server's Submission has it


@dataclass(frozen=True)
class Change:
    """One finding going from one state to another."""

    key: str
    before: str
    after: str


@dataclass(frozen=True)
class RestPlan:
    """What "mark the rest as reviewed absent" would change.

    `above` of them are above the model's threshold; `kept` are left alone because a finding that implies them was called.
    """

    keys: tuple[str, ...]
    above: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The question to confirm, with its counts."""
        if not self.keys:
            return "There is nothing left to mark."
        findings = "1 finding" if len(self.keys) == 1 else f"{len(self.keys)} findings"
        text = f"Mark {findings} as reviewed and absent? You state that you looked for each of them."
        if self.above:
            text += f" {len(self.above)} of them {'is' if len(self.above) == 1 else 'are'} above the model's threshold."
        if len(self.kept) == 1:
            text += " 1 stays not assessed, since a finding that implies it was called."
        elif self.kept:
            text += f" {len(self.kept)} stay not assessed, since findings that imply them were called."
        return text


Listener = Callable[[tuple[Change, ...]], None]
Step = tuple[str, tuple[Change, ...]]  # its name and what it changes


class Calls:
    """The calls on one study; `listener` hears of every change, undo and redo included."""

    def __init__(self, keys: Iterable[str], listener: Listener | None = None) -> None:
        self.keys = tuple(keys)
        self.listener = listener
        self.comment = ""
        self._states: dict[str, str] = {}  # findings that were called; what is missing was not assessed
        self._submitted: tuple[dict[str, str], str] = ({}, "")
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def state(self, key: str) -> str:
        """The state of a finding. Raises KeyError for an unknown one."""
        self._check(key)
        return self._states.get(key, NOT_ASSESSED)

    def set(self, key: str, state: str) -> bool:
        """Calls a finding; whether that changed anything. Raises KeyError, ValueError."""
        before = self.state(key)
        if state not in (*STATES, NOT_ASSESSED):
            raise ValueError(f"{state!r} is not one of {', '.join((*STATES, NOT_ASSESSED))}")
        if state == before:
            return False
        self._do(f"{key}: {state}", (Change(key, before, state),))
        return True

    def toggle(self, key: str, state: str) -> str:
        """What a click does: the same state again clears the call. Returns the state after it."""
        after = NOT_ASSESSED if self.state(key) == state else state
        self.set(key, after)
        return after

    def clear(self, key: str) -> bool:
        """Takes a call back; whether there was one."""
        return self.set(key, NOT_ASSESSED)

    def rest(self, catalogue: Catalogue | None = None, above: Iterable[str] = ()) -> RestPlan:
        """What `mark_rest_absent` would change; `above` are the keys over the model's threshold.

        A finding is kept where one of its kinds is present or uncertain: a basal ganglia bleed leaves intraparenchymal hemorrhage open.
        """
        implied: set[str] = set()
        if catalogue is not None:
            for key, state in self._states.items():
                if state in (PRESENT, UNCERTAIN):
                    implied.update(catalogue.implied(key))
        unread = [key for key in self.keys if key not in self._states]
        keys = tuple(key for key in unread if key not in implied)
        flagged = set(above)
        return RestPlan(keys, tuple(key for key in keys if key in flagged), tuple(key for key in unread if key in implied))

    def mark_rest_absent(self, plan: RestPlan) -> int:
        """Does what the plan says, in one step that can be undone; findings called meanwhile are left alone. Returns how many."""
        changes = tuple(Change(key, NOT_ASSESSED, ABSENT) for key in plan.keys if key not in self._states)
        if changes:
            self._do("rest reviewed absent", changes)
        return len(changes)

    @property
    def undo_text(self) -> str | None:
        """What undo would take back; None where there is nothing."""
        return self._done[-1][0] if self._done else None

    @property
    def redo_text(self) -> str | None:
        """What redo would bring back; None where there is nothing."""
        return self._undone[-1][0] if self._undone else None

    def undo(self) -> tuple[Change, ...]:
        """Takes the last step back; what changed, nothing where there was no step."""
        return self._move(self._done, self._undone, backwards=True)

    def redo(self) -> tuple[Change, ...]:
        """Does the last undone step again; what changed."""
        return self._move(self._undone, self._done, backwards=False)

    @property
    def called(self) -> dict[str, str]:
        """The findings that were called and their states, in the order of the taxonomy."""
        return {key: self._states[key] for key in self.keys if key in self._states}

    @property
    def counts(self) -> dict[str, int]:
        """How many findings are in each state, not_assessed included."""
        counts = dict.fromkeys((*STATES, NOT_ASSESSED), 0)
        for key in self.keys:
            counts[self._states.get(key, NOT_ASSESSED)] += 1
        return counts

    @property
    def dirty(self) -> bool:
        """Whether calls or comment differ from what was last submitted."""
        return (self._states, self.comment) != self._submitted

    @property
    def submittable(self) -> bool:
        """Whether there is anything to submit that has not been submitted like this; one call at least."""
        return bool(self._states) and self.dirty

    def mark_submitted(self, called: Mapping[str, str] | None = None, comment: str | None = None) -> None:
        """Notes that these calls went into the outbox; without an argument, those of now."""
        states = self._states if called is None else called
        self._submitted = (dict(states), self.comment if comment is None else comment)

    def contradictions(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Sentences about a finding that was called present while one that it implies was called absent."""
        sentences = []
        for key, state in self.called.items():
            for above in catalogue.implied(key) if state == PRESENT else ():
                if self._states.get(above) == ABSENT:
                    sentences.append(f"{catalogue.name(key)} is present, but {catalogue.name(above)}, which it implies, is absent.")
        return tuple(sentences)

    def to_json(self) -> dict[str, Any]:
        """The calls, the comment and what was submitted, for the scene; without the steps of undo."""
        submitted, comment = self._submitted
        return {
            "schema": SCHEMA,
            "findings": self.called,
            "comment": self.comment,
            "submitted": {"findings": dict(submitted), "comment": comment},
        }

    @classmethod
    def from_json(cls, document: Any, keys: Iterable[str], listener: Listener | None = None) -> Calls:
        """Calls as they were saved; findings that the server no longer knows are dropped. Raises NotReadable."""
        calls = cls(keys, listener)
        try:
            if document["schema"] != SCHEMA:
                raise NotReadable(f"the saved calls have the schema {document['schema']!r}, not {SCHEMA}")
            calls._states = calls._known(document["findings"])
            calls.comment = str(document["comment"])
            submitted = document["submitted"]
            calls._submitted = (calls._known(submitted["findings"]), str(submitted["comment"]))
        except NotReadable:
            raise
        except (KeyError, TypeError, AttributeError) as error:
            raise NotReadable(f"the saved calls are not as they should be: {error}") from None
        return calls

    def _known(self, states: Mapping[str, Any]) -> dict[str, str]:
        return {key: state for key, state in states.items() if key in self.keys and state in STATES}

    def _check(self, key: str) -> None:
        if key not in self.keys:
            raise KeyError(key)

    def _do(self, text: str, changes: tuple[Change, ...]) -> None:
        self._done.append((text, changes))
        self._undone.clear()
        self._apply(changes)

    def _move(self, source: list[Step], target: list[Step], backwards: bool) -> tuple[Change, ...]:
        if not source:
            return ()
        text, changes = source.pop()
        target.append((text, changes))
        applied = tuple(Change(each.key, each.after, each.before) for each in reversed(changes)) if backwards else changes
        self._apply(applied)
        return applied

    def _apply(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.after == NOT_ASSESSED:
                self._states.pop(change.key, None)
            else:
                self._states[change.key] = change.after
        if self.listener is not None:
            self.listener(changes)
