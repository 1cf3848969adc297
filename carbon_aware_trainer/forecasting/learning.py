"""How far off forecasts were, by hours ahead and time of day, learned from their own past and taken off.

Pure: a state goes in, and what was learned since comes out with it. A correction counts only as far as the
past shows that it would have made things better, well beyond chance: taking off every mean error makes good
forecasts worse, because the weather of last week is no error of this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting.hours import DAY_H, Floats, hour_of, slots_per_hour, start_of
from carbon_aware_trainer.forecasting.products import product
from carbon_aware_trainer.traces import Forecast

# Hours ahead that are alike: the last of each group.
LAST_OF_GROUP = np.array([6, 12, 24, 48, 96, 216])
LONGEST_H = int(LAST_OF_GROUP[-1])
# Forecasts are remembered this far apart: what was made in between says the same.
EVERY_H = 6
_BIAS_HALF_LIFE_D, _PROOF_HALF_LIFE_D = 28.0, 60.0
# Days of errors before a mean counts half.
_DOUBT_D = 5.0
# Standard errors by which a correction has to have helped; errors less than a group apart are of one weather.
_STANDARD_ERRORS = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A forecast as it was made in an hour, from one hour ahead on, and the bias it was thought to have."""

    hour: int
    expected: Floats
    bias: Floats


def _none() -> Floats:
    return np.zeros((len(LAST_OF_GROUP), DAY_H))


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What is known of the errors of a zone's forecasts.

    total, count: sums of actual - expected and how many, fading, [groups of hours ahead, hours of the day].
    proof: fading sums of bias x error, bias², (bias x error)², [3, groups]. open: forecasts yet to be judged.
    """

    total: Floats = field(default_factory=_none)
    count: Floats = field(default_factory=_none)
    proof: Floats = field(default_factory=lambda: np.zeros((3, len(LAST_OF_GROUP))))
    open: tuple[Made, ...] = ()

    @property
    def bias(self) -> Floats:
        """The mean error, less where few are known, g/kWh."""
        return self.total / (self.count + _DOUBT_D)

    @property
    def gain(self) -> Floats:
        """What share of the bias is taken off, by groups of hours ahead, 0-1."""
        helped, size, chance = self.proof
        sure = helped - _STANDARD_ERRORS * np.sqrt(chance * np.maximum(LAST_OF_GROUP, DAY_H))
        share: Floats = np.divide(sure, size, out=np.zeros_like(size), where=size > 0)
        return share.clip(0.0, 1.0)


def correction(learned: Learned, hour: npt.NDArray[np.int64], hours_ahead: int) -> Floats:
    """Return what to add to forecasts made in the hours ``hour``, [n, hours_ahead], from one ahead on."""
    return _spread(learned.gain[:, None] * learned.bias, hour, hours_ahead)


def corrected(learned: Learned, given: Forecast, hour: int) -> Forecast:
    """Return a forecast as asked in an hour, with what is known of its errors taken off."""
    ahead = np.array([hour_of(given.start + i * given.step) - hour for i in range(len(given.g_per_kwh))])
    if not learned.gain.any() or ahead[-1] < 1:
        return given
    off = np.where(ahead >= 1, correction(learned, np.array([hour]), int(ahead[-1]))[0][ahead - 1], 0.0)
    values, low, high = (np.maximum(column + off, 0.0) for column in (given.g_per_kwh, given.low, given.high))
    return replace(given, g_per_kwh=values, low=low, high=high)


def by_hour(given: Forecast, hour: int) -> Floats:
    """Return what is expected of the hours after ``hour``, each by the slot it begins with."""
    first = -int((given.start - start_of(hour + 1)) // given.step)
    return given.g_per_kwh[max(0, first) :: slots_per_hour(given.step)]


def remember(learned: Learned, hour: int, expected: Floats) -> Learned:
    """Keep a forecast as it was before any correction, to judge it later. One in EVERY_H hours.

    Those whose last hour has passed are forgotten, also where nobody observes what came.
    """
    if learned.open and hour < learned.open[-1].hour + EVERY_H:
        return learned
    left = tuple(made for made in learned.open if hour - made.hour < len(made.expected))
    kept = expected[:LONGEST_H].astype(np.float64)
    bias = _spread(learned.bias, np.array([hour]), len(kept))[0]
    return replace(learned, open=(*left, Made(hour, kept, bias)))


def observe(learned: Learned, hour: int, g_per_kwh: float) -> Learned:
    """Judge the forecasts of an hour by what was recorded in it. Hours come in order, each once."""
    judged = [made for made in learned.open if 1 <= hour - made.hour <= len(made.expected)]
    left = tuple(made for made in learned.open if hour - made.hour < len(made.expected))
    if not judged:
        return replace(learned, open=left)
    ahead = np.array([hour - made.hour for made in judged])
    error = g_per_kwh - np.array([made.expected[h - 1] for made, h in zip(judged, ahead, strict=True)])
    bias = np.array([made.bias[h - 1] for made, h in zip(judged, ahead, strict=True)])
    terms = np.array([error, bias * error, bias**2, (bias * error) ** 2])
    seen, (mean, *proven) = _means_by_group(ahead, terms)
    total, count, place = learned.total.copy(), learned.count.copy(), hour % DAY_H
    fade = np.where(seen, 0.5 ** (1 / _BIAS_HALF_LIFE_D), 1.0)
    total[:, place] = total[:, place] * fade + mean
    count[:, place] = count[:, place] * fade + seen
    proof = learned.proof * 0.5 ** (1 / (_PROOF_HALF_LIFE_D * DAY_H)) + np.array(proven)
    return Learned(total, count, proof, left)


def _means_by_group(ahead: npt.NDArray[np.int64], terms: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return which groups have any, and the means of each term, [terms, groups]."""
    member = np.searchsorted(LAST_OF_GROUP, ahead)[:, None] == np.arange(len(LAST_OF_GROUP))
    number = member.sum(axis=0)
    return number > 0, product(terms, member.astype(np.float64)) / np.maximum(number, 1)


def _spread(by_group: Floats, hour: npt.NDArray[np.int64], hours_ahead: int) -> Floats:
    ahead = np.arange(1, hours_ahead + 1)
    group = np.minimum(np.searchsorted(LAST_OF_GROUP, ahead), len(LAST_OF_GROUP) - 1)
    return np.asarray(by_group[group, (hour[:, None] + ahead) % DAY_H])
