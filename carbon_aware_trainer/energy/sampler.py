"""The thread that reads a meter all the time, so that any span of the past can be asked for."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from carbon_aware_trainer.energy.history import History, Span
from carbon_aware_trainer.energy.meter import Clock, Meter
from carbon_aware_trainer.errors import IntervalLost, MeterUnavailable
from carbon_aware_trainer.records import Counter, Reading

log = logging.getLogger(__name__)

_JOIN_S = 1.0


class PowerSampler:
    """Reads ``meter`` every ``interval_s`` in a thread of its own, which closes the meter at its end.

    A meter that fails or hangs never stops the caller: readings then say that the energy is unknown, and why.
    """

    def __init__(self, meter: Meter, *, interval_s: float = 0.1, clock: Clock = time.monotonic_ns) -> None:
        self._meter = meter
        self._interval_s = interval_s
        self._clock = clock
        self._history = History()
        self._failure: str | None = None
        self._lost: str | None = None
        self._tries = 0
        self._busy_since_ns: int | None = None
        self._sampled = threading.Condition()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._work, name="power-sampler", daemon=True)

    def start(self) -> None:
        """Start sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that hangs in its meter is left behind after a second, as a daemon."""
        self._is_stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def __enter__(self) -> PowerSampler:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def reading(self, start_ns: int, end_ns: int, *, timeout_s: float = 1.0) -> Reading:
        """Return what was used between two moments of ``time.monotonic_ns()``; never raises.

        When the end is newer than the last sample, a fresh one is waited for, unless the meter has been
        hanging for ``timeout_s``.
        """
        span_s = (end_ns - start_ns) / 1e9
        if span_s <= 0:
            return Reading(0.0, reason="The span has no length.")
        try:
            span = self._get_span(start_ns, end_ns, timeout_s)
        except MeterUnavailable as error:
            return Reading(span_s, reason=str(error))
        window_s = max(self._meter.step_s, span.window_s)
        return Reading(span_s, span.joules, self._meter.quality, window_s=window_s)

    def sample(self) -> None:
        """Read the meter once, now, as the thread does all the time; never raises."""
        counter: Counter | None = None
        failure: str | None = None
        self._busy_since_ns = self._clock()
        try:
            counter = self._read_past_a_reset()
        except Exception as error:  # noqa: BLE001 - the sampler's outer edge: no meter may hurt a training
            failure = str(error) or type(error).__name__
        self._busy_since_ns = None
        if failure is not None and failure != self._failure:
            log.warning("energy unknown: %s source=%r", failure, self._meter.source)
        with self._sampled:
            if counter is not None:
                self._history.add(counter, lost=self._lost)
                self._lost = None
            self._failure = failure
            self._tries += 1
            self._sampled.notify_all()

    def _read_past_a_reset(self) -> Counter:
        """Read the meter; when an interval was lost, note why and read again, so that the loss ends there."""
        try:
            return self._meter.read()
        except IntervalLost as error:
            self._lost = str(error)
            log.warning("energy of an interval lost: %s source=%r", error, self._meter.source)
            return self._meter.read()

    def _get_span(self, start_ns: int, end_ns: int, timeout_s: float) -> Span:
        with self._sampled:
            if not self._has_reached(end_ns):
                self._wait_for_a_sample(end_ns, timeout_s)
            return self._history.between(start_ns, end_ns)

    def _wait_for_a_sample(self, end_ns: int, timeout_s: float) -> None:
        """Wait for a sample at ``end_ns`` or later. Raises MeterUnavailable when it fails or none comes."""
        if not self._thread.is_alive():
            raise MeterUnavailable(self._failure or "The power sampler is not running.")
        hanging_s = (self._clock() - self._busy_since_ns) / 1e9 if self._busy_since_ns is not None else 0.0
        tries = self._tries
        self._wake.set()
        self._sampled.wait_for(
            lambda: self._has_reached(end_ns) or (self._tries > tries and self._failure is not None),
            timeout=max(0.0, timeout_s - hanging_s),
        )
        if self._has_reached(end_ns):
            return
        if self._tries > tries and self._failure is not None:
            raise MeterUnavailable(self._failure)
        raise MeterUnavailable("The energy meter does not answer.")

    def _has_reached(self, end_ns: int) -> bool:
        newest = self._history.newest
        return newest is not None and newest.at_ns >= end_ns

    def _work(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            self.sample()
            self._wake.wait(self._interval_s)
        self._meter.close()
