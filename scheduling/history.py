"""What the recorded intensities of a zone look like over the year; pure."""

from __future__ import annotations

import numpy as np

from carbon_aware_trainer.traces import Trace


def means_by_month_and_hour(trace: Trace) -> list[list[float | None]]:
    """Return 12 months, January first, of the means of 24 hours of the day (UTC); None without a value."""
    start_s = trace.start.timestamp()
    step_s = trace.step.total_seconds()
    times = np.array((start_s + np.arange(len(trace.g_per_kwh)) * step_s) * 1e6, dtype="datetime64[us]")
    months = times.astype("datetime64[M]").astype(np.int64) % 12
    hours = (times.astype("datetime64[h]").astype(np.int64)) % 24
    known = np.isfinite(trace.g_per_kwh)
    place = (months * 24 + hours)[known]
    count = np.bincount(place, minlength=12 * 24)
    total = np.bincount(place, trace.g_per_kwh[known], minlength=12 * 24)
    return [
        [
            float(total[cell] / count[cell]) if count[cell] else None
            for cell in range(24 * month, 24 * month + 24)
        ]
        for month in range(12)
    ]


def share_below(trace: Trace, g_per_kwh: float) -> float | None:
    """Return the share of the recorded values that were lower; None without any."""
    known = trace.g_per_kwh[np.isfinite(trace.g_per_kwh)]
    return float((known < g_per_kwh).mean()) if len(known) else None
