"""What a linear forecast is computed from: the last hours, the means of the last days and the calendar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting.hours import DAY_H, Floats

WEEK_H, YEAR_H = 168.0, 8766.0
# Hours ago whose effect depends on the time of day where one set of weights serves all hours.
_RECENT = (0, 1, 2, 3, 6, 12)


@dataclass(frozen=True, slots=True)
class Shape:
    """Which inputs a ridge has and how it is shrunk.

    lags: past hours taken singly. days: means of 24 h, back from now. daily, weekly, yearly: harmonics.
    is_by_hour: a set of weights for each hour of the day at which a forecast is made.
    """

    name: str
    lags: int
    days: int
    daily: int
    weekly: int
    yearly: int
    is_log: bool
    is_by_hour: bool
    penalty: float

    @property
    def past_h(self) -> int:
        """Hours of the past it looks at."""
        return max(self.lags, self.days * DAY_H)


def harmonics(hour: npt.NDArray[np.int64], shape: Shape) -> Floats:
    """Return sine and cosine of the daily, weekly and yearly cycle, [n, 2 x harmonics]."""
    cycles = (
        (float(DAY_H), shape.daily),
        (WEEK_H, shape.weekly),
        (YEAR_H, shape.yearly),
    )
    waves = [
        wave(2 * np.pi * k * (hour % period) / period)
        for period, count in cycles
        for k in range(1, count + 1)
        for wave in (np.sin, np.cos)
    ]
    return np.stack(waves, axis=1)


def inputs(past: Floats, hour: npt.NDArray[np.int64], shape: Shape) -> tuple[Floats, Floats]:
    """Return the inputs [n, k], the last of them 1, and the level [n, 1] they are relative to.

    past: [n, shape.past_h], oldest first; the last column is of ``hour``.
    """
    days = past[:, -shape.days * DAY_H :].reshape(len(past), shape.days, DAY_H).mean(axis=2)[:, ::-1]
    level = days[:, :1]
    recent, older = past[:, -shape.lags :] - level, days[:, 1:] - level
    calendar = harmonics(hour, shape)
    parts = [recent, older, level, calendar]
    if not shape.is_by_hour:
        crossed = np.concatenate(
            [past[:, [-1 - lag for lag in _RECENT]] - level, older[:, :7], level], axis=1
        )
        parts += [crossed * calendar[:, [wave]] for wave in range(4)]
    return np.concatenate([*parts, np.ones((len(past), 1))], axis=1), level
