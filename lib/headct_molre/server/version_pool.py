"""The open studies as one version of a model sees them, in memory and in step with the store."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import cached_property

import numpy as np

from ..data.store import StudyStore
from ..data.store.summaries import SummaryBlock
from ..findings import finding_keys, positions
from ..models.checkpoint import WEIGHTS, version_folder
from ..models.weights import read_tensors
from ..schema import ModelCard
from ..selection import STRATEGIES, LinearHead, LivePool, Pool, ranked
from .reader_calls import ReaderCalls

# Strategies that look at the study as a whole.
WITH_FEATURES = ("rare_positives", "bald", "typical")
# The one that asks readers and no model.
BY_READERS = "disagreement"


class VersionPool:
    """Made from the whole store, which takes a second or two at 72,756 studies; `refresh` takes what came since.

    `open_studies` can be offered, `predicted` of them have a prediction of this version. Raises StoreUnavailable.
    """

    def __init__(self, store: StudyStore, card: ModelCard) -> None:
        self.card = card
        self.made_at = time.monotonic()
        self.is_stale = False
        self._store = store
        self._calls = ReaderCalls(store.label_rule)
        # What changes while this is read is seen again by the first refresh.
        changes = store.changes.since(store.changes.beginning)
        self._seen = changes.seen
        self._calls.add(changes.readings)
        block = store.summaries.of_version(card)
        self._last = block.last
        open_now = store.changes.open_studies()
        self.open_studies = len(open_now)
        names = {study.study for study in open_now}
        for study in {reading.study for reading in changes.readings} - names:
            self._calls.note_open(study, False)
        place = {content: row for row, content in enumerate(block.contents)}
        here = [(study.study, place[study.content]) for study in open_now if study.content in place]
        rows = np.array([row for _, row in here], int)
        self._pool = LivePool([name for name, _ in here], block.probabilities[rows], block.features[rows], block.featured[rows])

    @property
    def predicted(self) -> int:
        """How many of the open studies this version has predicted."""
        return len(self._pool)

    @property
    def can_be_asked(self) -> bool:
        """Whether the version was tested on any finding, so that its probabilities mean something."""
        return bool(self._estimable.any())

    def refresh(self) -> None:
        """Takes predictions, readings and reopened studies that came since. Raises StoreUnavailable."""
        changes = self._store.changes.since(self._seen)
        block = self._store.summaries.of_version(self.card, self._last)
        self.is_stale |= changes.reopened is None
        touched = {reading.study for reading in changes.readings} | (changes.reopened or set())
        if touched or block.contents:
            states = {study.study: study for study in self._store.changes.studies(touched)}
            states |= {study.study: study for study in self._store.changes.with_contents(block.contents)}
            self._calls.add(changes.readings)
            for study in states.values():
                self._calls.note_open(study.study, study.is_open)
            closed = [study.study for study in states.values() if not study.is_open]
            self.open_studies -= sum(name in self._pool for name in closed)
            self._pool.drop(closed)
            self._put({study.study: study.content for study in states.values() if study.is_open and study.content}, block)
        self._seen, self._last = changes.seen, block.last

    def rank(self, strategy: str, count: int, hidden: Collection[str], rng: np.random.Generator) -> dict[str, str]:
        """{study: why} of up to `count` studies by a strategy, the first to be read first, the hidden ones left out.

        Raises what `selection.ranked` raises, and ModelUnavailable where bald does not find the version's head.
        """
        if strategy == BY_READERS:
            names, votes = self._calls.disagreements(hidden)
            nothing = np.zeros((len(names), len(finding_keys())), np.float32)
            chosen = ranked(strategy, Pool(nothing, self._estimable, self._calls.positives, votes=votes), count, rng)
        else:
            # Where nothing has features, the strategy itself says that it needs them.
            probabilities, features = self._pool.visible(hidden, strategy in WITH_FEATURES and self._pool.any_features)
            names = self._pool.names
            head = self._head if strategy == "bald" else None
            kept = features if self._pool.any_features else None
            chosen = ranked(strategy, Pool(probabilities, self._estimable, self._calls.positives, kept, head), count, rng)
        by = "" if strategy == BY_READERS else f" Ranked by {self.card.name} {self.card.version}."
        return {names[one.row]: one.why.sentence + by for one in chosen}

    def _put(self, wanted: dict[str, str], block: SummaryBlock) -> None:
        """Adds open studies {name: content}, or changes them, where this version predicted their images."""
        self._put_from(block, wanted)
        arrived = set(block.contents)
        missing = {name: content for name, content in wanted.items() if content not in arrived and name not in self._pool}
        self._put_from(self._store.summaries.of_contents(self.card, set(missing.values())), missing)

    def _put_from(self, block: SummaryBlock, wanted: dict[str, str]) -> None:
        place = {content: row for row, content in enumerate(block.contents)}
        here = [(name, place[content]) for name, content in wanted.items() if content in place]
        if here:
            rows = [row for _, row in here]
            self._pool.put([name for name, _ in here], block.probabilities[rows], block.features[rows], block.featured[rows])

    @cached_property
    def _estimable(self) -> np.ndarray:
        return np.array([key in self.card.operating_points for key in finding_keys()], bool)

    @cached_property
    def _head(self) -> LinearHead | None:
        """The version's head with its calibration in it, rows in taxonomy order; None where the version is no longer installed."""
        folder = version_folder(self.card.name, self.card.version)
        if folder is None:
            return None
        state = read_tensors(folder / WEIGHTS)
        order = positions(finding_keys(), within=self.card.findings)
        weight, bias = state["head.weight"].float().numpy()[order], state["head.bias"].float().numpy()[order]
        scales = [self.card.calibration.get(key) for key in finding_keys()]
        slope = np.array([1.0 if scale is None else scale.slope for scale in scales], np.float32)
        intercept = np.array([0.0 if scale is None else scale.intercept for scale in scales], np.float32)
        return LinearHead(weight * slope[:, None], bias * slope + intercept)


assert {*WITH_FEATURES, BY_READERS} <= STRATEGIES.keys()
