"""What forecasts learn of their own errors, and when they make no use of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carbon_aware_trainer.forecasting import learning
from carbon_aware_trainer.forecasting.hours import Floats, hour_of
from carbon_aware_trainer.forecasting.learning import Learned
from carbon_aware_trainer.traces import HOUR, Forecast

START = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = hour_of(START)
AHEAD = np.arange(1, 97)


def lived(days: int, bias: float, *, noise: float = 20.0, seed: int = 0, sees: float = 1.0) -> Learned:
    """Forecasts of what is higher by ``bias`` from 6 to 12 h, in weather that lasts days, seen or not."""
    draw = np.random.default_rng(seed)
    learned, weather = Learned(), 0.0
    for hour in range(FIRST, FIRST + days * 24):
        weather = 0.98 * weather + draw.normal(0, noise * 0.2)
        actual = 300 + weather + (bias if 6 <= hour % 24 < 12 else 0.0)
        learned = learning.observe(learned, hour, actual)
        learned = learning.remember(learned, hour, np.full(96, 300 + sees * weather))
    return learned


def off(learned: Learned) -> Floats:
    return np.asarray(learning.correction(learned, np.array([FIRST]), 96)[0])


def test_a_bias_at_a_time_of_day_is_learned_and_taken_off() -> None:
    added = off(lived(60, 60.0))
    is_morning = (AHEAD % 24 >= 6) & (AHEAD % 24 < 12)
    assert added[is_morning & (AHEAD <= 24)].mean() > 30
    assert np.abs(added[~is_morning]).mean() < 8


def test_weather_is_not_taken_for_a_bias() -> None:
    after = [lived(60, 0.0, noise=100.0, seed=seed, sees=0.0) for seed in range(6)]
    assert np.mean([np.abs(learned.bias[:5]).mean() for learned in after]) > 10
    assert np.mean([learned.gain[:5].mean() for learned in after]) < 0.3


def test_nothing_is_corrected_before_anything_was_seen() -> None:
    assert not off(Learned()).any()
    assert not off(learning.remember(Learned(), FIRST, np.full(96, 300.0))).any()


def test_an_hour_changes_no_state_but_the_one_that_is_returned() -> None:
    before = learning.remember(Learned(), FIRST, np.full(96, 300.0))
    after = learning.observe(before, FIRST + 1, 350.0)
    assert not before.total.any()
    assert after.total.sum() == pytest.approx(50.0)


def test_a_forecast_is_dropped_once_its_last_hour_was_judged() -> None:
    learned = learning.remember(Learned(), FIRST, np.full(3, 300.0))
    assert len(learning.observe(learned, FIRST + 2, 300.0).open) == 1
    assert learning.observe(learned, FIRST + 3, 300.0).open == ()


def test_only_hours_ahead_are_corrected_and_by_their_own_lead() -> None:
    learned = lived(60, 60.0)
    values = np.full(48, 300.0)
    step = timedelta(minutes=30)
    made = Forecast("z", "p", "average lifecycle", START, START, step, values, values, values, "m")
    better = learning.corrected(learned, made, FIRST)
    assert (better.g_per_kwh[:2] == 300.0).all()
    np.testing.assert_allclose(better.g_per_kwh[2::2], 300 + off(learned)[:23])
    np.testing.assert_allclose(better.g_per_kwh[3::2], 300 + off(learned)[:23])


def test_hours_of_a_forecast_are_those_after_now() -> None:
    values = np.arange(8.0)
    made = Forecast("z", "p", "average lifecycle", START, START, HOUR / 2, values, values, values, "m")
    np.testing.assert_array_equal(learning.by_hour(made, FIRST), [2, 4, 6])
    later = replace(made, start=START + HOUR / 2)
    np.testing.assert_array_equal(learning.by_hour(later, FIRST), [1, 3, 5, 7])
