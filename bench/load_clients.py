"""Requests at a steady pace, whether or not the answers keep up: submissions, or dashboards that poll.

    python -m bench.load_clients submit|poll PORT PER_S SECONDS

How long one took counts from the moment when it was due, so that a server that stalls is not let off. With a
line on its input it begins, and it prints what it counted as JSON.
"""

from __future__ import annotations

import http.client
import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

THREADS: Final = 24
PATIENCE_S: Final = 30.0
# The server closes what is idle for a second; a client that uses it just then would see no answer.
IDLE_S: Final = 0.5
BODY: Final = {
    "hyper_params": {"trainer": "demo", "optimizer": "adam", "learning_rate": 0.001, "num_epochs": 12}
}
# What the list of runs asks for, of all pages the dearest that polls.
LISTING: Final = "/api/runs?limit=50&sort=time_added&order=desc"


class Caller:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._used_s = 0.0

    def submit(self) -> int:
        """Queue a run, and return the status of the answer."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        return self._ask("POST", "/train", json.dumps(BODY), headers)

    def poll(self) -> int:
        """Ask for the newest runs, and return the status of the answer."""
        return self._ask("GET", LISTING, None, {})

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> int:
        if time.monotonic() - self._used_s > IDLE_S:
            self._connection.close()
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        self._used_s = time.monotonic()
        return answer.status


class Offer:
    """So many requests per second for so long."""

    def __init__(self, what: str, port: int, per_s: float, seconds: float) -> None:
        self._what, self._port, self._per_s, self._seconds = what, port, per_s, seconds
        self._due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._took_s: list[float] = []
        self._errors: list[str] = []
        self._last_s = 0.0

    def make(self) -> dict[str, Any]:
        """Make them all, and return what became of them."""
        threads = [threading.Thread(target=self._serve) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        start_s = time.monotonic()
        count = round(self._per_s * self._seconds)
        for number in range(count):
            due_s = start_s + number / self._per_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            self._due.put(due_s)
        for _ in threads:
            self._due.put(None)
        for thread in threads:
            thread.join()
        return {
            "offered": count,
            "answered": len(self._took_s),
            "took_s": max(self._seconds, self._last_s - start_s),
            "took_ms": [round(1000 * each, 2) for each in self._took_s],
            "errors": len(self._errors),
            "first_error": self._errors[0] if self._errors else None,
        }

    def _serve(self) -> None:
        caller = Caller(self._port)
        ask: Callable[[], int] = getattr(caller, self._what)
        while (due_s := self._due.get()) is not None:
            try:
                status = ask()
            except (OSError, http.client.HTTPException) as error:
                self._errors.append(repr(error))
                continue
            if status not in (200, 201):
                self._errors.append(f"status {status}")
                continue
            self._last_s = time.monotonic()
            self._took_s.append(self._last_s - due_s)


if __name__ == "__main__":
    offer = Offer(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
    sys.stdin.readline()
    print(json.dumps(offer.make()), flush=True)
    sys.stdin.read()
