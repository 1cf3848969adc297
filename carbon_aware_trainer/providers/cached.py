"""Intensities that were recorded before, from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np

from carbon_aware_trainer.errors import AnswerRefused, BasesMixed, UnknownZone
from carbon_aware_trainer.providers import files, points
from carbon_aware_trainer.providers.adapter import check_age, no_forecast, no_mix
from carbon_aware_trainer.providers.exchange import Exchange, block
from carbon_aware_trainer.providers.points import Origin, Point
from carbon_aware_trainer.providers.zones import Zone, canonical, near
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace


@dataclass(frozen=True, slots=True)
class _Traces:
    """A zone of a file: what was recorded, and what was forecast then."""

    step: timedelta
    past: Trace | None
    ahead: Trace | None
    renewable: Mapping[datetime, float]


class Cached:
    """A file or folder of traces; a file that changes is read again.

    ``now`` decides what is known yet: of a file that goes on, nothing later is given as recorded.
    Times without an offset are UTC. ``basis``: of a file that does not say.
    """

    name = "cached"

    def __init__(
        self, path: Path, *, now: Callable[[], datetime], stale_after: timedelta, basis: Basis | None = None
    ) -> None:
        """Read the file. Raises IntensityUnavailable when it cannot be used."""
        self._path, self._now, self._stale_after = path, now, stale_after
        self._stamp: files.Stamp = ()
        self._zones: dict[str, _Traces] = {}
        self.basis: Basis = basis or "average lifecycle"
        self._load()

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone, naming the near ones, when the file does not have it."""
        self._traces(zone)

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the newest value up to now; a forecast where nothing newer was recorded."""
        yield from block(self._load)
        traces, now = self._traces(zone), self._now()
        known = [
            (trace.start + slot * trace.step, trace, slot)
            for trace in (traces.ahead, traces.past)
            if trace is not None and (slot := _last_known(trace, now)) is not None
        ]
        if not known:
            raise AnswerRefused(f"{self._path} has no value of {zone} before {now:%Y-%m-%d %H:%M} UTC.")
        at, trace, slot = max(known, key=lambda found: (found[0], found[1] is traces.past))
        value = Intensity(
            zone,
            float(trace.g_per_kwh[slot]),
            trace.provider,
            f"recorded, {self.basis}",
            None,
            self._path.name,
            self.basis,
            at=at,
            is_estimated=trace is not traces.past,
            renewable_share=traces.renewable.get(at),
        )
        longer = max(timedelta(), trace.step - HOUR)
        return check_age(value, now=now, limit=self._stale_after + longer)

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return what is recorded up to now."""
        yield from block(self._load)
        past = self._traces(zone).past
        found = None if past is None else past.known_at(self._now()).between(start, end)
        if found is None or np.isnan(found.g_per_kwh).all():
            raise AnswerRefused(
                f"{self._path} has nothing recorded of {zone} from {start:%Y-%m-%d %H:%M} "
                f"to {end:%Y-%m-%d %H:%M} UTC."
            )
        return replace(found, zone=zone)

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return the file's forecast, from the slot in force on."""
        yield from block(self._load)
        traces, now = self._traces(zone), self._now()
        if traces.ahead is None:
            raise no_forecast(str(self._path), zone, "it only holds what was recorded.")
        in_force = points.floor(now, traces.step)
        # what is recorded already counts more than what was expected for it
        parts = (traces.ahead.between(in_force, traces.ahead.end), _slots_at(traces.past, in_force))
        known = {point.at: point for part in parts for point in _points(part)}
        origin = Origin(zone, traces.ahead.provider, self.basis)
        whole = points.trace(known.values(), origin, step=traces.step, who=str(self._path))
        return points.forecast(whole, now=now, horizon=horizon, method="of the file")

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Raise MixUnavailable: the renewable share comes with the intensity where the file has it."""
        yield from ()
        raise no_mix(str(self._path), zone)

    def _traces(self, zone: str) -> _Traces:
        wanted = canonical(zone)
        found = self._zones.get(zone) or next(
            (traces for name, traces in self._zones.items() if canonical(name) == wanted), None
        )
        if found is None:
            theirs = [Zone(name, "in the file") for name in self._zones]
            listed = near(zone, theirs) or f" It has {', '.join(sorted(self._zones)[:5])}."
            raise UnknownZone(f"{self._path} has no zone {zone!r}.{listed}")
        return found

    def _load(self) -> None:
        """Read the file when it changed since."""
        stamp = files.stamp(self._path)
        if self._zones and stamp == self._stamp:
            return
        content = files.read(self._path)
        if self._zones and content.basis not in (None, self.basis):
            raise BasesMixed(
                f"{self._path} was on the basis {self.basis} and is now on {content.basis}. Open it anew."
            )
        self.basis = content.basis or self.basis
        self._zones = {zone: self._build(zone, recorded) for zone, recorded in content.zones.items()}
        self._stamp = stamp

    def _build(self, zone: str, recorded: files.Recorded) -> _Traces:
        provider = f"{self.name}:{recorded.source}" if recorded.source else self.name
        build = partial(points.trace, origin=Origin(zone, provider, self.basis), who=str(self._path))
        past = build(recorded.historical) if recorded.historical else None
        step = None if past is None else past.step
        ahead = build(recorded.forecast, step=step) if recorded.forecast else None
        known = past or ahead
        if known is None:
            raise AnswerRefused(f"{self._path} has the zone {zone} without a value.")
        return _Traces(known.step, past, ahead, recorded.renewable)


def _last_known(trace: Trace, now: datetime) -> int | None:
    known = np.flatnonzero(~np.isnan(trace.known_at(now).g_per_kwh))
    return int(known[-1]) if len(known) else None


def _slots_at(trace: Trace | None, at: datetime) -> Trace | None:
    return None if trace is None else trace.between(at, at + trace.step)


def _points(trace: Trace | None) -> list[Point]:
    if trace is None:
        return []
    return [
        Point(trace.start + slot * trace.step, None if np.isnan(value) else float(value))
        for slot, value in enumerate(trace.g_per_kwh)
    ]
