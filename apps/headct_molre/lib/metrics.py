"""What `/headct/metrics` shows: measurements of this process for Prometheus.

Labels have few values: route templates, models, codes. Never an id, which would be patient data and a new series for each study.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from headct_molre.data.store import StudyStore
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import HeadCTError

disable_created_metrics()  # a second series for each, with the time of its first value
REGISTRY = CollectorRegistry()
for collector in (ProcessCollector, PlatformCollector, GCCollector):
    collector(registry=REGISTRY)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

REQUESTS = Histogram(
    "headct_request_seconds", "Requests by route template, method and status", ("route", "method", "status"), buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
IN_FLIGHT = Gauge("headct_requests_in_flight", "Requests that are worked on or wait now", registry=REGISTRY)
INFERENCES = Histogram(
    "headct_inference_seconds", "Inferences that ran, by model and outcome (done, refused, failed)", ("model", "outcome"),
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
STORE_FAULTS = Counter("headct_store_faults", "Requests that the study store could not serve, by code", ("code",), registry=REGISTRY)
TRAININGS = Histogram(
    "headct_training_seconds", "Training jobs that ended, by model and outcome (succeeded, failed, cancelled, interrupted)",
    ("model", "outcome"), buckets=(1, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600), registry=REGISTRY,
)  # fmt: skip
TRAINING_MEMORY = Gauge("headct_training_memory_bytes", "Memory of the training process, 0 while none runs", registry=REGISTRY)
VERSION_CHANGES = Counter(
    "headct_version_changes", "Changes of the served version, by model and action (promoted, rolled_back)", ("model", "action"),
    registry=REGISTRY,
)  # fmt: skip
RESCORED = Counter(
    "headct_rescored_studies", "Studies that were ranked anew after a change of the served version, by model", ("model",),
    registry=REGISTRY,
)  # fmt: skip
RESCORING_LEFT = Gauge(
    "headct_rescoring_left", "Studies that are still to be ranked anew from stored features, by model", ("model",),
    registry=REGISTRY,
)  # fmt: skip
_QUEUE = Gauge("headct_queue_length", "Inferences that wait for a device", registry=REGISTRY)


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """Counts a request; route and method have few values."""
    REQUESTS.labels(route, method, str(status)).observe(seconds)


@contextmanager
def inference_timed(model: str) -> Iterator[None]:
    """Measures an inference; a study that the gate refuses is no failure."""
    started, outcome = time.monotonic(), "failed"
    try:
        yield
        outcome = "done"
    except HeadCTError:
        outcome = "refused"
        raise
    finally:
        INFERENCES.labels(model, outcome).observe(time.monotonic() - started)


def training_ended(model: str, outcome: str, seconds: float) -> None:
    """Counts a training job that ended, or that was interrupted."""
    TRAININGS.labels(model, outcome).observe(seconds)


def rescored(model: str, studies: int, left: int) -> None:
    """Counts studies that were ranked anew by a version of a model."""
    RESCORED.labels(model).inc(studies)
    RESCORING_LEFT.labels(model).set(left)


def watch_queue(length: Callable[[], float]) -> None:
    """Shows the length of the inference queue, asked for whenever metrics are read."""
    _QUEUE.set_function(length)


def watch_store(store: StudyStore) -> None:
    """Shows what is in the store, asked for whenever metrics are read."""
    REGISTRY.register(_StoreCollector(store))


def exposition() -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


class _StoreCollector:
    """Studies and submissions. A store that does not answer leaves them out: metrics are needed then more than ever."""

    def __init__(self, store: StudyStore) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        return [GaugeMetricFamily("headct_studies", ""), GaugeMetricFamily("headct_submissions", "")]

    def collect(self) -> Iterator[Metric]:
        try:
            totals, submissions = self._store.studies.totals(), self._store.submissions.total()
        except StoreUnavailable as error:
            STORE_FAULTS.labels(error.code).inc()
            return
        studies = GaugeMetricFamily("headct_studies", "Studies whose images are there, by state (total, read, open)", labels=("state",))
        for state, count in totals.items():
            studies.add_metric((state,), count)
        yield studies
        yield GaugeMetricFamily("headct_submissions", "Submissions in the store", value=submissions)
