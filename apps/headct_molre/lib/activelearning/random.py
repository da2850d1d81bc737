"""A random unread study, those that were not offered lately first."""

import random
import time

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy


class RandomStudy(Strategy):
    """Chance proportional to the seconds since the study was last offered.

    MONAI Label's own random strategy fails when all unread studies were offered within the last second.
    """

    def __init__(self) -> None:
        super().__init__("A random study that nobody has read yet")

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        """{id, weight}, or None when every study has been read."""
        studies = datastore.get_unlabeled_images()
        if not studies:
            return None
        now = int(time.time())
        offered = [datastore.get_image_info(study).get("strategy", {}).get(request["strategy"], {}) for study in studies]
        weights = [max(1, now - seen.get("ts", 0)) for seen in offered]
        (chosen,) = random.choices(range(len(studies)), weights=weights)
        return {"id": studies[chosen], "weight": weights[chosen]}
