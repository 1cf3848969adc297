"""The conversation with a producer: a question a line, each a JSON object, and a line of answer.

``{"noops": n}`` enqueues n of them: ``began_ns`` and how many ``seconds`` it took. ``{"nap": seconds}``
enqueues one: ``job``, its id. ``{"status_of": id}``: ``status`` in the queue's own words. Standard library
only.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Protocol


class Producer(Protocol):
    """Who enqueues."""

    version: str

    def submit_noop(self) -> object:
        """Enqueue ``jobs.stamp``."""

    def submit_nap(self, seconds: float) -> str:
        """Enqueue ``jobs.nap`` and return its id."""

    def get_status(self, job_id: str) -> str:
        """Return what the queue says about a job."""


def serve(producer: Producer) -> None:
    """Greet with the version, and answer until the questions end."""
    _say({"version": producer.version})
    for line in sys.stdin:
        _say(_answer(producer, json.loads(line)))


def _answer(producer: Producer, question: dict[str, Any]) -> dict[str, Any]:
    if "noops" in question:
        began_ns = time.monotonic_ns()
        for _ in range(question["noops"]):
            producer.submit_noop()
        return {"began_ns": began_ns, "seconds": (time.monotonic_ns() - began_ns) / 1e9}
    if "nap" in question:
        return {"job": producer.submit_nap(question["nap"])}
    return {"status": producer.get_status(question["status_of"])}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
