"""The thread that reads a meter all the time, so that any span of the past can be asked for."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from carbon_aware_trainer.energy.history import History, Span
from carbon_aware_trainer.energy.meter import Clock, Meter
from carbon_aware_trainer.errors import CarbonAwareError, IntervalLost, MeterUnavailable
from carbon_aware_trainer.records import Quality, Reading

log = logging.getLogger(__name__)

_POWER_SPAN_NS = 10**9
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
        self._tries = 0
        self._sampled = threading.Condition()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._work, name="power-sampler", daemon=True)

    @property
    def source(self) -> str:
        """What is read and how, for a person."""
        return self._meter.source

    @property
    def quality(self) -> Quality:
        """Measured by the hardware, or estimated."""
        return self._meter.quality

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

        Takes a fresh sample when the end is newer than the last one, and waits up to ``timeout_s`` for it.
        """
        span_s = (end_ns - start_ns) / 1e9
        if span_s <= 0:
            return Reading(max(span_s, 0.0), reason="The span has no length.")
        try:
            span = self._span(start_ns, end_ns, timeout_s)
        except CarbonAwareError as error:
            return Reading(span_s, reason=str(error))
        window_s = max(self._meter.step_s, span.window_s)
        return Reading(span_s, span.joules, self._meter.quality, window_s=window_s)

    def current_power_w(self) -> float | None:
        """Return the mean power over the last second; None when it is not known."""
        with self._sampled:
            newest = self._history.newest
            if newest is None or self._failure or self._clock() - newest.at_ns > 2 * _POWER_SPAN_NS:
                return None
            try:
                span = self._history.between(newest.at_ns - _POWER_SPAN_NS, newest.at_ns)
            except MeterUnavailable:
                return None
            return span.joules / (_POWER_SPAN_NS / 1e9)

    def sample(self) -> None:
        """Read the meter once, now; the thread does this all the time. Never raises."""
        failure: str | None = None
        try:
            counter = self._meter.read()
        except IntervalLost as error:
            with self._sampled:
                self._history.lose(self._clock(), str(error))
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - the sampler's outer edge: no meter may hurt a training
            failure = str(error) or type(error).__name__
        with self._sampled:
            if failure is None:
                self._history.add(counter)
            elif failure != self._failure:
                log.warning("energy unknown: %s source=%s", failure, self._meter.source)
            self._failure = failure
            self._tries += 1
            self._sampled.notify_all()

    def _span(self, start_ns: int, end_ns: int, timeout_s: float) -> Span:
        with self._sampled:
            tries = self._tries
            self._wake.set()
            is_settled = self._sampled.wait_for(
                lambda: self._covers(end_ns) or (self._failure is not None and self._tries > tries),
                timeout=timeout_s if self._thread.is_alive() else 0,
            )
            if not self._covers(end_ns):
                raise MeterUnavailable(self._why_not(timeout_s, is_settled=is_settled))
            return self._history.between(start_ns, end_ns)

    def _covers(self, end_ns: int) -> bool:
        newest = self._history.newest
        return newest is not None and newest.at_ns >= end_ns

    def _why_not(self, timeout_s: float, *, is_settled: bool) -> str:
        if self._failure is not None and is_settled:
            return self._failure
        if not self._thread.is_alive():
            return self._failure or "The power sampler is not running."
        return f"The meter has not answered for {timeout_s:g} s."

    def _work(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            self.sample()
            self._wake.wait(self._interval_s)
        self._meter.close()
