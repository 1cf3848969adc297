"""The forecaster people use: one zone, and several side by side."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from carbon_aware_trainer.core import forecaster as module
from carbon_aware_trainer.core.forecaster import CarbonForecaster, ParallelCarbonForecaster
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting import fit
from carbon_aware_trainer.traces import HOUR, Trace
from tests.unit.test_forecasting import DAY, START, grid


@pytest.fixture(scope="module")
def history() -> Trace:
    return grid(240)


@pytest.fixture(scope="module")
def forecaster(history: Trace) -> CarbonForecaster:
    return CarbonForecaster(history)


def test_it_forecasts_from_the_last_known_slot(history: Trace, forecaster: CarbonForecaster) -> None:
    made = forecaster.forecast(48)
    assert (made.start, len(made.g_per_kwh)) == (history.end - HOUR, 48)
    late = replace(history, g_per_kwh=np.append(history.g_per_kwh, [np.nan] * 3))
    assert forecaster.forecast(48, history=late).start == history.end - HOUR


def test_the_weights_of_the_ensemble_sum_to_one(forecaster: CarbonForecaster) -> None:
    weights = forecaster.ensemble()
    assert sum(weights.values()) == pytest.approx(1.0)
    assert set(weights) == {"by hour of day", "all hours"}


def test_the_trend_is_the_change_per_day() -> None:
    rising = grid(20)
    rising = replace(
        rising, g_per_kwh=np.asarray(200 + 2.5 * (np.arange(480) // 24) + np.tile(np.arange(24.0), 20))
    )
    assert CarbonForecaster(rising).trend(14) == pytest.approx(2.5)
    with pytest.raises(IntensityUnavailable, match="two days"):
        CarbonForecaster(grid(1)).trend()


def test_seasonality_shows_the_sun_and_the_weekend(forecaster: CarbonForecaster) -> None:
    daily, weekly = forecaster.seasonality()
    assert (daily.shape, weekly.shape) == ((24,), (7,))
    assert int(np.argmin(daily)) == 12
    # 2022 began on a Saturday, so the days that are made cleaner are Thursdays and Fridays.
    assert set(np.argsort(weekly)[:2]) == {3, 4}
    assert weekly.mean() == pytest.approx(1.0, abs=0.01)


def test_emissions_are_energy_times_the_intensity_of_its_hours(forecaster: CarbonForecaster) -> None:
    made = forecaster.forecast(48)
    start = made.start + 10 * HOUR + HOUR / 2
    value, low, high = forecaster.predict_emissions(2.0, start, 2)
    hours = made.g_per_kwh[10:13]
    assert value == pytest.approx(2.0 * (0.5 * hours[0] + hours[1] + 0.5 * hours[2]) / 2)
    assert low < value < high
    for wrong in (made.start - HOUR, made.start + 300 * HOUR):
        with pytest.raises(IntensityUnavailable):
            forecaster.predict_emissions(2.0, wrong, 2)
    with pytest.raises(ValueError, match="no duration"):
        forecaster.predict_emissions(2.0, start, 0)


def test_it_is_evaluated_on_a_history_it_was_not_fitted_on() -> None:
    whole = grid(330)
    known = CarbonForecaster(whole.known_at(START + 240 * DAY))
    found = known.evaluate(whole.between(START + 240 * DAY, whole.end))
    assert 0 < found.mape < 0.2
    assert found.mae_g_per_kwh == pytest.approx(found.mape * 380, rel=0.3)
    assert 0.6 < found.captured_interruptible <= 1.0
    assert found.forecasts == (90 - 7) * 24
    with pytest.raises(IntensityUnavailable, match="too few"):
        known.evaluate(whole.between(START, START + 10 * DAY))


def test_several_zones_are_fitted_side_by_side_but_no_more_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock, running, most, fits = threading.Lock(), 0, 0, 0
    together = threading.Barrier(2)

    def counted(history: Trace) -> object:
        nonlocal running, most, fits
        with lock:
            running, fits = running + 1, fits + 1
            most = max(most, running)
        together.wait(30)
        found = fit(history)
        with lock:
            running -= 1
        return found

    monkeypatch.setattr(module, "fit", counted)
    zones = {name: replace(grid(30, seed=i), zone=name) for i, name in enumerate(("A", "B", "C", "D"))}
    parallel = ParallelCarbonForecaster(zones, limit=2)
    made = asyncio.run(parallel.forecast(24))
    again = asyncio.run(parallel.forecast(12))
    assert {zone: one.zone for zone, one in made.items()} == {zone: zone for zone in zones}
    assert len(again["A"].g_per_kwh) == 12
    assert (most, fits) == (2, 4)


def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ParallelCarbonForecaster({}, limit=0)


def test_an_empty_zone_is_named() -> None:
    empty = replace(grid(1), g_per_kwh=np.empty(0))
    with pytest.raises(IntensityUnavailable, match="zone"):
        asyncio.run(ParallelCarbonForecaster({"zone": empty}).forecast())
    with pytest.raises(IntensityUnavailable, match="zone"):
        CarbonForecaster(grid(1)).forecast(history=empty)


def test_a_half_hourly_zone_has_emissions_too() -> None:
    known = CarbonForecaster(grid(30, step=timedelta(minutes=30)))
    made = known.forecast(4)
    value, _, _ = known.predict_emissions(1.0, made.start, 1)
    assert value == pytest.approx(made.g_per_kwh[:2].mean())
