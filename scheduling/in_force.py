"""What a kWh of a worker's zone emits at any time of a run: as it is recorded, else the year's average.

A run's CO2 is always on one basis, so that runs can be sorted by it and added up: average, life cycle. A
provider whose figures are marginal or direct is planned with, and nothing is charged with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from carbon_aware_trainer.accounting import Span, co2_of
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.providers.static import country_intensity
from carbon_aware_trainer.providers.zones import canonical, code_at
from carbon_aware_trainer.records import Basis, Intensity
from carbon_aware_trainer.traces import HOUR, Trace
from scheduling.intensities import ONE_FIGURE, Intensities
from settings import Settings

CHARGED_BASIS: Basis = "average lifecycle"
# At least; of a longer attempt from its beginning on.
_KEPT = timedelta(days=3)
# How often the store is looked into for a slot that is late.
_LOOK_AGAIN = timedelta(seconds=10)
_DIGITS = 6


def yearly_intensity(settings: Settings) -> Intensity:
    """Return the yearly average of the country that this host's zone is in, else of WATTLE_COUNTRY.

    Raises IntensityUnavailable when there is no figure of that.
    """
    if settings.zone is not None:
        try:
            return country_intensity(code_at(ONE_FIGURE, settings.zone))
        except IntensityUnavailable:
            pass  # the table has no country of the zone, or no figure of that country
    return country_intensity(settings.country)


class InForce:
    """The intensity of the zone of one worker; from memory, so that who charges energy waits for nobody."""

    def __init__(self, intensities: Intensities, zone: str, yearly: Intensity) -> None:
        self.zone = canonical(zone)
        self.yearly = yearly
        self._intensities = intensities
        # Of the provider first, then of who stands in for it.
        self._traces: tuple[Trace, ...] = ()
        self._from: datetime | None = None
        self._looked_at: datetime | None = None
        self.reason: str | None = None
        """Why the year's average counts, a sentence; None where it is what is wanted, or does not count."""

    @property
    def is_recorded(self) -> bool:
        """Whether there is a provider of what the zone emits by the hour."""
        return self._intensities.name != ONE_FIGURE

    @property
    def has_values(self) -> bool:
        """Whether anything recorded is known here, or nothing has to be."""
        return not self.is_recorded or bool(self._traces)

    def keep_from(self, start: datetime) -> None:
        """Keep what is recorded from the beginning of an attempt on, all of which is charged at its end."""
        self._from = start - self._intensities.stale_after - HOUR

    def refresh(self, now: datetime) -> None:
        """Read what other threads and programs have fetched since; nothing while the present is known.

        Raises StoreUnavailable.
        """
        trace, looked_at = next(iter(self._traces), None), self._looked_at
        if not self.is_recorded or (trace is not None and _is_known(trace, now)):
            return
        again = _LOOK_AGAIN if trace is None else min(_LOOK_AGAIN, trace.step / 2)
        if looked_at is not None and trace is not None and looked_at <= now < looked_at + again:
            return
        self._looked_at = now
        self._traces = tuple(self._find(now))

    def _find(self, now: datetime) -> Iterator[Trace]:
        """Yield what is recorded by the provider, and by who stands in for it since."""
        start, end = min(now - _KEPT, self._from or now), now + timedelta(microseconds=1)
        newest, name = self._intensities.find_trace(self.zone, start, end), self._intensities.name
        if newest is not None and newest.provider != name:
            own = self._intensities.find_trace_of(name, self.zone, start, end)
            yield from () if own is None else (own,)
        yield from () if newest is None else (newest,)

    def over(self, start: datetime, end: datetime) -> Intensity:
        """Return the mean over a span, or the year's average where that is not recorded: see ``reason``."""
        self.reason = None
        if not self.is_recorded:
            return self.yearly
        traces = self._traces
        for trace in traces:
            if trace.provider == ONE_FIGURE or trace.basis != CHARGED_BASIS:
                continue
            g_per_kwh = mean_over(trace, start, end, limit=self._intensities.stale_after)
            if g_per_kwh is not None:
                how = "by the hour, life cycle"
                return Intensity(self.zone, g_per_kwh, trace.provider, how, None, trace.provider, trace.basis)
        self.reason = self._why_yearly(traces)
        return self.yearly

    def _why_yearly(self, traces: Sequence[Trace]) -> str:
        if not traces:
            return f"nothing is recorded of {self.zone} yet"
        newest = traces[-1]
        if newest.provider == ONE_FIGURE:
            return f"{self._intensities.name} gives no answer, and its fallback has no other figure"
        if newest.basis != CHARGED_BASIS:
            return f"the figures of {newest.provider} are {newest.basis}, and CO2 is {CHARGED_BASIS}"
        return f"nothing is recorded of {self.zone} for a part of that time"

    def describe(self, now: datetime) -> str:
        """Say what is in force, and whose figure that is, for a person."""
        return str(self.over(now, now))


def held(trace: Trace, limit: timedelta) -> Trace:
    """Return a trace whose values hold until the next one, at most ``limit`` longer, also after its end."""
    most = math.ceil(limit / trace.step)
    values = np.concatenate([trace.g_per_kwh, np.full(most, np.nan)])
    places = np.arange(len(values))
    newest = np.maximum.accumulate(np.where(np.isfinite(values), places, -1))
    is_held = (newest >= 0) & (places - newest <= most)
    return Trace(
        trace.zone, trace.provider, trace.basis, trace.start, trace.step,
        np.where(is_held, values[newest], np.nan),
    )  # fmt: skip


def mean_over(trace: Trace, start: datetime, end: datetime, *, limit: timedelta) -> float | None:
    """Return the mean of a span, by time; None where a part of it is unknown. limit: as of ``held``."""
    near = trace.between(start - limit - trace.step, end + timedelta(microseconds=1))
    found = co2_of(Span(start, end, 1.0), held(near, limit).as_series()).g_per_kwh
    return None if found is None else float(f"{found:.{_DIGITS}g}")


def _is_known(trace: Trace, now: datetime) -> bool:
    slot = trace.slot(now)
    return 0 <= slot < len(trace.g_per_kwh) and bool(np.isfinite(trace.g_per_kwh[slot]))
