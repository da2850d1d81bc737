"""The next study by one of the strategies of headct_molre.selection, and now and then a random one."""

import random

from headct_molre.data.store import Offer, StudyStore
from headct_molre.selection import BY_CHANCE, STRATEGIES
from headct_molre.server.pools import Pools
from lib.activelearning.offered import OfferedStudy

# How many candidates are ranked at a time: as a rule the first can be offered, but others may ask at the same moment.
_COUNTS = (25, 400)


class RankedStudy(OfferedStudy):
    """What the strategy ranks first of what this reader can be offered; a `random_share` of the offers is drawn with no regard to it.

    Where the strategy has nothing to rank, the study is drawn at random as well, and `why` says so.
    """

    def __init__(self, name: str, store: StudyStore, pools: Pools, lease_s: float, random_share: float) -> None:
        super().__init__(store, lease_s, STRATEGIES[name].description)
        self.name = name
        self.pools = pools
        self.random_share = random_share
        self._chance = random.SystemRandom()

    def choose(self, reader: str, another: bool, model: str) -> tuple[Offer | None, str]:
        if not another:
            open_already = self.store.readings.offer_first(reader, (), self.lease_s)
            if open_already is not None:
                return open_already, ""
        if self._chance.random() < self.random_share:
            return self._by_chance(reader, another, BY_CHANCE)
        hidden = self.store.readings.out_of_reach(reader)
        remark = ""
        for count in _COUNTS:
            found = self.pools.candidates(model, self.name, count, hidden)
            remark = found.remark
            reasons = {study: f"{remark}. {why}" if remark else why for study, why in found.reasons.items()}
            noted = {study: f"{self.name}: {why}" for study, why in reasons.items()}
            offer = self.store.readings.offer_first(reader, list(reasons), self.lease_s, another, noted) if reasons else None
            if offer is not None:
                return offer, reasons.get(offer.lease.study, "")
            if len(reasons) < count:
                break
        return self._by_chance(reader, another, f"{remark or 'The studies that were ranked are taken'}; drawn at random")

    def _by_chance(self, reader: str, another: bool, why: str) -> tuple[Offer | None, str]:
        return self.store.readings.offer(reader, self.lease_s, "random", another, f"{self.name}: {why}."), f"{why}."
