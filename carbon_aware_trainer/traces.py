"""Intensities of a zone on an even grid of time: what was recorded, and what is expected."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.records import Basis, IntensitySeries, Interval

HOUR = timedelta(hours=1)
# Of the interval of a forecast: it holds this share of what comes.
INTERVAL_LEVEL = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What was recorded. Slot ``i`` lasts from ``start + i * step`` on for one ``step``.

    g_per_kwh: float64 [n], gCO2eq/kWh; NaN is a value missing at the source.
    """

    zone: str
    provider: str
    basis: Basis
    start: datetime
    step: timedelta
    g_per_kwh: npt.NDArray[np.float64]

    @property
    def end(self) -> datetime:
        """When the last slot ends."""
        return self.start + len(self.g_per_kwh) * self.step

    def slot(self, at: datetime) -> int:
        """Return the index of the slot that holds ``at``; below 0 or past the last one outside."""
        return math.floor((at - self.start) / self.step)

    def known_at(self, at: datetime) -> Trace:
        """Return what is known at a moment: every slot up to the one that holds it, and none after it."""
        return replace(self, g_per_kwh=self.g_per_kwh[: max(0, self.slot(at) + 1)])

    def between(self, start: datetime, end: datetime) -> Trace:
        """Return the slots that begin in [start, end)."""
        first = max(0, math.ceil((start - self.start) / self.step))
        last = max(first, math.ceil((end - self.start) / self.step))
        return replace(self, start=self.start + first * self.step, g_per_kwh=self.g_per_kwh[first:last])

    def as_series(self) -> IntensitySeries:
        """Return the known slots as intervals."""
        intervals = (
            Interval(self.start + i * self.step, self.start + (i + 1) * self.step, float(value))
            for i, value in enumerate(self.g_per_kwh)
            if math.isfinite(value)
        )
        return IntensitySeries(self.zone, self.provider, self.basis, tuple(intervals))


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is expected from ``start`` on, as known at ``made_at``.

    g_per_kwh, low, high: float64 [n], gCO2eq/kWh; 80 % of what comes lies between ``low`` and ``high``.
    The first slot is the one in force at ``made_at``. ``low`` and ``high`` are NaN where a provider gives a
    value alone.
    """

    zone: str
    provider: str
    basis: Basis
    made_at: datetime
    start: datetime
    step: timedelta
    g_per_kwh: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    method: str

    @property
    def end(self) -> datetime:
        """When the last slot ends: nothing is known from there on."""
        return self.start + len(self.g_per_kwh) * self.step
