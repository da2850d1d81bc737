"""What a server ranks studies from: a pool for each model, and what to do while a model has predicted too few of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..data.store import StudyStore
from ..errors import HeadCTError, InvalidRequest, ModelUnavailable
from ..models.checkpoint import load_card, read_card, version_folder
from ..schema import ModelCard
from .version_pool import BY_READERS, VersionPool

logger = logging.getLogger("headct_molre.selection")

FULL_S = 300.0  # how old a pool may get that only took what came since: studies whose images went or came are found again
# With fewer predictions than these, the best of them are not the best of the studies.
FEW, FEW_SHARE = 100, 0.1


@dataclass(frozen=True)
class Candidates:
    """{study: why}, the first to be offered first, and a remark for all of them; none where only chance is left, which it then explains."""

    reasons: dict[str, str]
    remark: str = ""


class Pools:
    """Safe to share between threads: one ranks at a time, and a pool that got old is made anew in a thread while the old one serves."""

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str], VersionPool] = {}
        self._making: set[tuple[str, str]] = set()

    def warm(self, model: str) -> threading.Thread:
        """Loads the pool of a model in a thread of its own, so that its first reader need not wait."""
        thread = threading.Thread(target=self._warm, args=(model,), name="selection", daemon=True)
        thread.start()
        return thread

    def candidates(self, model: str, strategy: str, count: int, hidden: Collection[str], seed: int | None = None) -> Candidates:
        """Up to `count` studies by a strategy, or by what takes its place at a cold start; the hidden ones left out.

        The same store and seed give the same studies. Raises NotFound `unknown_strategy`, StoreUnavailable.
        """
        rng = np.random.default_rng(seed)
        try:
            card = load_card(model)
        except ModelUnavailable:
            return Candidates({}, f"There is no trained version of {model} here")
        with self._lock:
            pool = self._pool(card)
            if strategy == BY_READERS:
                reasons = pool.rank(strategy, count, hidden, rng)
                return Candidates(reasons, "" if reasons else "There is no study for you on which readers disagree")
            remark = ""
            if pool.predicted < min(FEW, FEW_SHARE * pool.open_studies) or not pool.predicted:
                remark = f"{model} {card.version} has predicted {pool.predicted:,} of {pool.open_studies:,} open studies so far"
                earlier = self._earlier(card, pool)
                if earlier is None:
                    return Candidates({}, remark)
                pool, remark = earlier, f"{remark}, so {earlier.card.version} ranks them"
            if not pool.can_be_asked and strategy != "typical":
                remark, strategy = f"{model} {pool.card.version} was not tested on any finding yet", "typical"
            return _ranked(pool, strategy, count, hidden, rng, remark)

    def _pool(self, card: ModelCard) -> VersionPool:
        """The pool of a version, in step with the store."""
        key = card.name, card.weights_sha256
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = VersionPool(self._store, card)
            self._forget_others(key)
            return pool
        pool.refresh()
        if key not in self._making and (pool.is_stale or time.monotonic() - pool.made_at > FULL_S):
            self._making.add(key)
            threading.Thread(target=self._remake, args=(key, card), name="selection", daemon=True).start()
        return pool

    def _earlier(self, card: ModelCard, pool: VersionPool) -> VersionPool | None:
        """The pool of the version of this model that has predicted most studies, more than the served one has."""
        for version, weights_sha256, count in self._store.summaries.versions(card.name):
            folder = version_folder(card.name, version)
            if weights_sha256 == card.weights_sha256 or count <= pool.predicted or folder is None:
                continue
            try:
                found = read_card(folder)
            except ModelUnavailable:
                continue
            if found.weights_sha256 == weights_sha256:
                earlier = self._pool(found)
                return earlier if earlier.predicted > pool.predicted else None
        return None

    def _forget_others(self, key: tuple[str, str]) -> None:
        """Keeps two pools of each model: that of the version served, and that of the version before it."""
        of_model = [other for other in self._pools if other[0] == key[0] and other != key]
        for other in of_model[:-1]:
            del self._pools[other]

    def _remake(self, key: tuple[str, str], card: ModelCard) -> None:
        try:
            pool = VersionPool(self._store, card)
            with self._lock:
                if key in self._pools:
                    self._pools[key] = pool
        except HeadCTError as error:
            logger.warning("the pool of %s was not made anew: %s", card.name, error.code)
        finally:
            self._making.discard(key)

    def _warm(self, model: str) -> None:
        try:
            card = load_card(model)
            with self._lock:
                self._pool(card)
        except HeadCTError as error:
            logger.info("no pool of %s yet: %s", model, error.code)


def _ranked(pool: VersionPool, strategy: str, count: int, hidden: Collection[str], rng: np.random.Generator, remark: str) -> Candidates:
    try:
        reasons = pool.rank(strategy, count, hidden, rng)
    except InvalidRequest as error:
        if error.code not in ("features_missing", "head_missing"):
            raise
        # Predictions of an older release; a batch inference gives them features.
        return Candidates({}, f"The predictions of {pool.card.name} {pool.card.version} have no features for the strategy {strategy}")
    if not reasons and not remark:
        remark = "No study with a prediction is left for you"
    return Candidates(reasons, remark)
