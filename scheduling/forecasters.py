"""Forecasters of zones: fitted once a day by whoever is first, kept in the store for all programs."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from carbon_aware_trainer.errors import CarbonError, IntensityUnavailable
from carbon_aware_trainer.forecasting import Fitted, fit
from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from scheduling.ports import Recordings

log = logging.getLogger(__name__)

# A forecaster that another program fitted is read anew after this long.
_REREAD = timedelta(hours=1)
# What is finer is a replay, whose days last minutes.
_SHORTEST_STEP = timedelta(minutes=5)
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    fitted: Fitted
    read_at: datetime


class Forecasters:
    """One per zone, provider and basis. Threads may share it."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings
        self._lock = threading.Lock()
        self._known: dict[Key, _Known] = {}

    def forecast(self, trace: Trace, now: datetime) -> Forecast:
        """Forecast from what is recorded, with the forecaster that was fitted last; fits where there is none.

        At most a second the first time, then a few ms. Raises IntensityUnavailable when nothing is known.
        """
        with self._lock:
            known = self._known.get(_key_of(trace))
        if known is None or now - known.read_at > _REREAD:
            known = self._remember(trace, self._read(trace) or self._fit(trace, now), now)
        return known.fitted.forecast(trace, now, None)

    def refit(self, trace: Trace, now: datetime) -> None:
        """Fit anew on what is recorded by now. Raises IntensityUnavailable when nothing is known."""
        fitted = self._fit(trace, now)
        self._remember(trace, fitted, now)
        log.info("forecaster fitted zone=%s provider=%s: %s", trace.zone, trace.provider, fitted.method)

    def _fit(self, trace: Trace, now: datetime) -> Fitted:
        if not _SHORTEST_STEP <= trace.step <= HOUR or HOUR % trace.step:
            every = f"{trace.step.total_seconds():g} s"
            raise IntensityUnavailable(
                f"values every {every} cannot be forecast from the hours of days before"
            )
        fitted = fit(trace, at=now)
        header = f"{trace.basis}\n{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode()
        self._recordings.save_forecaster(
            trace.zone, key_of_provider(trace.provider), header + fitted.to_bytes()
        )
        return fitted

    def _read(self, trace: Trace) -> Fitted | None:
        """Return what is kept; None where there is nothing, of another basis, or of another version."""
        data = self._recordings.find_forecaster(trace.zone, key_of_provider(trace.provider))
        if data is None:
            return None
        basis, _, body = (*data.split(b"\n", 2), b"", b"")[:3]
        if basis.decode(errors="replace") != trace.basis:
            return None
        try:
            return Fitted.from_bytes(body)
        except CarbonError as error:
            log.info("a kept forecaster is of no use zone=%s: %s", trace.zone, error)
            return None

    def _remember(self, trace: Trace, fitted: Fitted, now: datetime) -> _Known:
        known = _Known(fitted, now)
        with self._lock:
            self._known[_key_of(trace)] = known
        return known


def _key_of(trace: Trace) -> Key:
    return trace.zone, trace.provider, trace.basis


def key_of_provider(provider: str) -> str:
    """Return a provider's name as a part of a key: cached:eia → cached-eia."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in provider)
    return plain.lower()[:32]
