"""The first study, in the order of the ids, that still needs this reader."""

from headct_molre.data.store import Offer, StudyStore
from lib.activelearning.offered import OfferedStudy


class FirstStudy(OfferedStudy):
    """For work lists that are numbered in the order in which they are to be read."""

    def __init__(self, store: StudyStore, lease_s: float) -> None:
        super().__init__(store, lease_s, "The first study by id that still needs a reader")

    def choose(self, reader: str, another: bool, model: str) -> tuple[Offer | None, str]:
        why = "the first by id of those that still need a reader"
        return self.store.readings.offer(reader, self.lease_s, "id", another, f"first: {why}"), why
