"""What the strategies have in common: they choose among the studies that the store can offer to this reader."""

from abc import abstractmethod

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from headct_molre.data.store import Offer, StudyStore
from headct_molre.errors import HeadCTError, NotFound

_TRIES = 5


class OfferedStudy(Strategy):
    """The next study for the reader in the request, leased to them for `lease_s` seconds; `why` tells them the reason."""

    def __init__(self, store: StudyStore, lease_s: float, description: str) -> None:
        super().__init__(description)
        self.store = store
        self.lease_s = lease_s

    @abstractmethod
    def choose(self, reader: str, another: bool, model: str) -> tuple[Offer | None, str]:
        """An offer of the store to this reader, and why it came; `model` ranks studies where a strategy asks one."""

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        """{id, weight, lease {taken_at, expires_at}, random, why} from {reader, another, model}; None when none is left for this reader."""
        for _ in range(_TRIES):
            offer, why = self.choose(request["reader"], request["another"], request["model"])
            if offer is None:
                return None
            study = offer.lease.study
            try:
                datastore.get_image_uri(study)
            except HeadCTError as error:
                self.store.readings.release(study, request["reader"])
                if not isinstance(error, NotFound):
                    raise
                continue  # its images went away, which the datastore has noted, so another one comes next
            lease = offer.lease.model_dump(include={"taken_at", "expires_at"})
            why = "you have it open and have not submitted a reading" if offer.again else why
            return {"id": study, "weight": 1.0, "lease": lease, "random": offer.random, "why": why}
        message = "The images of the studies that were chosen went away. Look at the studies folder, then ask again."
        raise HeadCTError("images_unreachable", message, status=503)
