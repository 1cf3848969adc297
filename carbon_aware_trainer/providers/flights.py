"""One fetch at a time for each thing in this process: the first caller leads, the others join."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from carbon_aware_trainer.providers.exchange import Exchange, Join, WouldBlock


class Abandoned(Exception):
    """Who fetched gave up, as a cancelled task does; one of those who joined goes on."""


@dataclass(frozen=True, slots=True)
class _Flight:
    landing: Future[bytes]
    thread: int


class Flights:
    """Threads and tasks together: one leader per key."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def share(
        self,
        key: str,
        fetch: Callable[[], Exchange[bytes]],
        *,
        alone: Callable[[], Exchange[bytes]],
        left_s: Callable[[], float],
    ) -> Exchange[bytes]:
        """Return what ``fetch`` brings, or what another caller's is bringing already.

        ``alone`` is for a plain call in an event loop, which must wait for no other task of that loop. A
        failure is everybody's. Raises TimeoutError when ``left_s`` is over before another has landed.
        """
        while True:
            with self._lock:
                known = self._flights.get(key)
                flight = known or self._flights.setdefault(key, _Flight(Future(), threading.get_ident()))
            if known is None:
                return (yield from self._lead(key, flight, fetch))
            try:
                body: bytes = yield Join(flight.landing, flight.thread, max(0.0, left_s()))
            except Abandoned:
                continue
            except WouldBlock:
                return (yield from alone())
            return body

    def _lead(self, key: str, flight: _Flight, fetch: Callable[[], Exchange[bytes]]) -> Exchange[bytes]:
        """Fetch for all who join, and tell them how it ended."""
        failure: BaseException = Abandoned()
        try:
            body = yield from fetch()
        except Exception as err:
            failure = err
            raise
        else:
            flight.landing.set_result(body)
            return body
        finally:
            with self._lock:
                del self._flights[key]
            if not flight.landing.done():
                flight.landing.set_exception(failure)
