"""What the server counts, for Prometheus: a registry of its own, so that nothing of another library shows up."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from edgead.store.fleet import Used

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Measures:
    """Counters and gauges of one server; modules add theirs to `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "edgead_http_requests",
            "Requests answered.",
            ["operation", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "edgead_http_request_seconds",
            "From the headers of a request to the end of its answer.",
            ["operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "edgead_http_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self.waiting = Gauge(
            "edgead_http_calls_waiting", "Univariate calls that wait for a thread.", registry=self.registry
        )
        self.buffered = Gauge(
            "edgead_http_buffered_bytes", "Bytes of request bodies in memory.", registry=self.registry
        )
        self.refused = Counter(
            "edgead_http_refused",
            "Requests refused before the service looked at them.",
            ["reason"],
            registry=self.registry,
        )
        self.fleet_refused = Counter(
            "edgead_fleet_refused",
            "Batches of devices that found no room.",
            ["of", "what"],
            registry=self.registry,
        )
        self.fleet_bytes = Gauge(
            "edgead_fleet_bytes", "What devices sent and is kept.", ["what"], registry=self.registry
        )
        self.fleet_limit = Gauge(
            "edgead_fleet_bytes_limit", "What may be kept of all devices.", registry=self.registry
        )
        self.points = Counter("edgead_points", "Points of univariate calls judged.", registry=self.registry)

    def show_fleet(self, used: Callable[[], Used], limit: int) -> None:
        """Tell from now on what devices sent and is kept, and how much it may be."""
        self.fleet_bytes.labels("records").set_function(lambda: used().records)
        self.fleet_bytes.labels("readings").set_function(lambda: used().readings)
        self.fleet_limit.set(limit)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
