"""The mean of the same hour over the last seven days, moved by the last error, which decays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting.hours import DAY_H, Floats, Hours

DAYS = 7
# In hours: after this long, the last error counts exp(-1) of itself.
DECAY_H = 12.0


def rows(hours: Hours, at: npt.NDArray[np.int64], *, horizon_h: int) -> Floats:
    """Forecast the ``horizon_h`` hours after each of the hours ``at``, [n, horizon_h].

    With less than seven days of history the days there are count; with less than one, the last value.
    """
    first = int(at.min()) - DAYS * DAY_H + 1
    values = hours.g_per_kwh[max(0, first) : int(at.max()) + 1]
    padded = np.concatenate([np.full(max(0, -first), np.nan), values])
    past = np.lib.stride_tricks.sliding_window_view(padded, DAYS * DAY_H)[at - at.min()]
    week = past.reshape(len(at), DAYS, DAY_H)
    known = np.isfinite(week)
    count = known.sum(axis=1)
    total = np.where(known, week, 0.0).sum(axis=1)
    last = past[:, -1:]
    profile = np.where(count > 0, total / np.maximum(count, 1), last)
    # Column 0 is the hour after ``at``: each block of 24 h ends with ``at``, so it begins one hour later.
    ahead = np.arange(1, horizon_h + 1)
    error = last - profile[:, -1:]
    expected: Floats = profile[:, (ahead - 1) % DAY_H] + error * np.exp(-ahead / DECAY_H)
    return expected
