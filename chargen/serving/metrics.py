"""Count requests for monitoring, in the text form of Prometheus."""

import re

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from chargen.serving.turns import Turns

KNOWN = re.compile(r"(/models/[^/]+)?(/|/api/(complete|next|score|model)|/v1/(completions|models))|/health|/metrics")
OTHER = "other"  # the path of requests that are for nothing


class Metrics:
    """Count requests by path and status, and report the requests at work and in the queue."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "chargen_requests",
            "Requests by path and status, 0 without an answer.",
            ("path", "status"),
            registry=self._registry,
        )
        self._working = Gauge("chargen_requests_working", "Requests at work.", registry=self._registry)
        self._waiting = Gauge("chargen_requests_waiting", "Requests that wait for a turn.", registry=self._registry)

    def count(self, path: str, status: int) -> None:
        """Count a request with its status, 0 if it was not answered."""
        self._requests.labels(path if KNOWN.fullmatch(path) else OTHER, str(status)).inc()

    def text(self, turns: Turns) -> bytes:
        """Return all figures."""
        self._working.set(turns.working)
        self._waiting.set(turns.waiting)
        return generate_latest(self._registry)
