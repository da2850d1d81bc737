"""Heat maps of studies, each computed on the inference queue like an inference; nothing is kept, a map takes a second or two."""

import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal

from headct_molre.explain import HeatMap, check_finding, explain
from headct_molre.models.checkpoint import load_card
from headct_molre.schema import Prediction
from headct_molre.server.devices import freed_when_out_of_memory
from headct_molre.server.pseudonym import pseudonym
from lib.incoming import heat_map_file
from lib.infers.headct import Images, Serving, logger

Format = Literal["nifti", "nrrd"]


class HeatMaps:
    """Safe to share between threads; `serving` is what the inference tasks have."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def check(self, model: str, finding: str) -> None:
        """Refuses before any work what no study could answer. Raises NotFound, InvalidRequest, ModelUnavailable."""
        check_finding(finding, load_card(model), field="finding")

    def submit(
        self, images: Images, content: str, prediction: Prediction, finding: str, *, request_id: str, reader: str = ""
    ) -> Future[HeatMap]:
        """Queues the map of a finding for a prediction on this content; the same map is computed once for all who wait for it.

        Raises QueueRefused. The future raises what `explain` raises.
        """
        context = contextvars.copy_context()  # with the id of the request, for the log

        def work(device: str, boundary: Callable[[], None]) -> HeatMap:
            return context.run(self._explain, images, prediction, finding, device, boundary)

        model = prediction.model
        key = "heat map", content, model.name, model.weights_sha256, finding
        # Under a name of its own, so that the waits that the queue expects of inferences stay right.
        return self._serving.queue.submit(key, f"{model.name} heat map", work, request_id=request_id, reader=reader)

    def file(self, heat_map: HeatMap, images: Images, form: Format) -> bytes:
        """The map over the study's own grid. Raises what `read_study` raises."""
        return heat_map_file(heat_map, images.path, images.series_uid, form)

    def _explain(self, images: Images, prediction: Prediction, finding: str, device: str, boundary: Callable[[], None]) -> HeatMap:
        started = time.monotonic()
        loaded = self._serving.loaded
        with freed_when_out_of_memory(device, lambda: loaded.free(device)):
            heat_map = explain(images.path, prediction, finding, images.series_uid, loaded.prepared, device, boundary)
        logger.info("heat map of %s by %s in %.1f s", pseudonym(images.study), prediction.model.name, time.monotonic() - started)
        return heat_map
