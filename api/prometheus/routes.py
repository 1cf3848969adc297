"""``/metrics``: what this API serves and what the store knows, as Prometheus reads it.

What the store knows every process says alike. What is served is counted per server: the processes of one
gunicorn share a folder, PROMETHEUS_MULTIPROC_DIR, which gunicorn.conf.py makes.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from api.health import VERSION
from api.prometheus.store import StoreCollector
from redis_db import RedisDB

observing = APIBlueprint("observing", __name__, tag="Figures")

_KEY: Final = "wattle-figures"
_ANSWER: dict[int | str, dict[str, str | dict[str, dict[str, Any]]]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}
}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNKNOWN_ROUTE: Final = "(none)"
_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Served:
    """What one process has answered, and who is connected to it."""

    def __init__(self, store: RedisDB) -> None:
        self._own = CollectorRegistry()
        self._store = StoreCollector(store, version=VERSION)
        self._requests = Counter(
            "wattle_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._own,
        )
        self._durations = Histogram(
            "wattle_http_request_duration_seconds",
            "Time until the answer to a request was ready.",
            ("method", "route"),
            buckets=_BOUNDS_S,
            registry=self._own,
        )
        self._viewers = Gauge(
            "wattle_live_clients",
            "Live connections (WebSocket and server-sent events) of this server.",
            multiprocess_mode="livesum",
            registry=self._own,
        )

    def note_viewers(self, count: int) -> None:
        """Take over how many live connections there are."""
        self._viewers.set(count)

    def note_request(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(duration_s)

    def collect(self) -> CollectorRegistry:
        """Return everything there is to tell now."""
        told = CollectorRegistry(auto_describe=False)
        told.register(self._store)
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(told)  # type: ignore[no-untyped-call]
        else:
            told.register(self._own)
        return told


def install(app: Flask, store: RedisDB) -> Served:
    """Count every request of ``app``; called before the guard is installed, also those that it refuses."""
    served = app.extensions[_KEY] = Served(store)

    @app.before_request
    def begin() -> None:
        g.began_s = time.monotonic()

    @app.after_request
    def count(response: Response) -> Response:
        method = request.method if request.method in _METHODS else "(other)"
        route = _UNKNOWN_ROUTE if request.url_rule is None else request.url_rule.rule
        served.note_request(method, route, response.status_code, time.monotonic() - g.began_s)
        return response

    return served


@observing.get("/metrics")
@observing.doc(responses=_ANSWER)
def get_metrics() -> Response:
    """Answer figures for Prometheus: the queue, workers, energy, requests; docs/observe.md lists them.

    Also 200 while Redis is away, with wattle_store_up 0 and what this server has served.
    """
    served: Served = current_app.extensions[_KEY]
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(served.collect()), content_type=content_type)
