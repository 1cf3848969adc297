"""A trace by the hour without holes, filled from the past alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.traces import HOUR, Trace

Floats = npt.NDArray[np.float64]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_H = 24


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """One value per hour, the first of them ``first`` hours after 1970 began.

    g_per_kwh: float64 [n], no NaN: an hour without a value has that of the same hour of the day before.
    is_known: bool [n], False where it was filled.
    """

    first: int
    g_per_kwh: Floats
    is_known: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the hours."""
        return len(self.g_per_kwh)

    def until(self, end: int) -> Hours:
        """Return the first ``end`` hours."""
        return replace(self, g_per_kwh=self.g_per_kwh[:end], is_known=self.is_known[:end])


def hour_of(at: datetime) -> int:
    """Return the number of the hour that holds a moment."""
    return math.floor((at - EPOCH) / HOUR)


def start_of(hour: int) -> datetime:
    """Return when an hour begins."""
    return EPOCH + timedelta(hours=hour)


def to_hours(trace: Trace) -> Hours:
    """Return the mean of each hour's known slots, up to the last known one.

    Raises IntensityUnavailable when no slot is known.
    Raises ValueError for a step that is longer than an hour or does not divide it.
    """
    per_hour = slots_per_hour(trace.step)
    known = np.isfinite(trace.g_per_kwh)
    if not known.any():
        raise IntensityUnavailable(
            f"No intensity of {trace.zone} is known. Fetch its history from {trace.provider} first."
        )
    last = int(np.flatnonzero(known)[-1]) + 1
    known, values = known[:last], trace.g_per_kwh[:last]
    first = hour_of(trace.start)
    offset = round((trace.start - start_of(first)) / trace.step)
    hour = (np.arange(len(known)) + offset) // per_hour
    count = np.bincount(hour, known, minlength=hour[-1] + 1)
    total = np.bincount(hour, np.where(known, values, 0.0), minlength=hour[-1] + 1)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return Hours(first, _filled(mean), count > 0)


def slots_per_hour(step: timedelta) -> int:
    """Return how many slots an hour has. Raises ValueError when that is no whole number."""
    if step > HOUR or HOUR % step:
        raise ValueError(f"Slots of {step} cannot be forecast. Send slots that divide an hour.")
    return HOUR // step


def _filled(values: Floats) -> Floats:
    """Fill each hole with the value 24 hours before, else with the last one; the beginning with the first."""
    filled = values.copy()
    missing = np.flatnonzero(~np.isfinite(values))
    if not len(missing):
        return filled
    first = int(np.argmax(np.isfinite(values)))
    filled[:first] = values[first]
    for i in missing[missing > first]:
        filled[i] = filled[i - DAY_H] if i - DAY_H >= first else filled[i - 1]
    return filled
