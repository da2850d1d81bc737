"""A random study that still needs this reader."""

from headct_molre.data.store import Offer, StudyStore
from lib.activelearning.offered import OfferedStudy


class RandomStudy(OfferedStudy):
    """Every study that can be offered has the same chance."""

    def __init__(self, store: StudyStore, lease_s: float) -> None:
        super().__init__(store, lease_s, "A random study that still needs a reader")

    def choose(self, reader: str, another: bool, model: str) -> tuple[Offer | None, str]:
        why = "a random one of those that still need a reader"
        return self.store.readings.offer(reader, self.lease_s, "random", another, f"random: {why}"), why
