"""Forecasts on made grids: what they learn, what they may not know, and what they do with holes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench import carbon_traces
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting import Fitted, backtest, blend, fit, interval, profile
from carbon_aware_trainer.forecasting.hours import start_of, to_hours
from carbon_aware_trainer.forecasting.ridge import HORIZON_H
from carbon_aware_trainer.traces import HOUR, INTERVAL_LEVEL, Forecast, Trace

START = datetime(2022, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def grid(days: int, *, seed: int = 0, noise: float = 8.0, step: timedelta = HOUR) -> Trace:
    """A grid with sun at noon, weather that lasts for days, and cleaner weekends."""
    draw = np.random.default_rng(seed)
    count = days * (DAY // step)
    hour = np.arange(count) * (step / HOUR)
    weather = np.zeros(count)
    keep = 0.98 ** (step / HOUR)
    pushed = draw.normal(0, noise * (step / HOUR) ** 0.5, count)
    for i in range(1, count):
        weather[i] = keep * weather[i - 1] + pushed[i]
    sun = -80 * np.clip(np.sin(2 * np.pi * (hour - 6) / 24), 0, None)
    weekend = np.where((hour // 24) % 7 >= 5, -30.0, 0.0)
    return Trace("zone", "test", "average lifecycle", START, step, 400 + sun + weekend + weather)


@pytest.fixture(scope="module")
def year() -> Trace:
    return grid(330)


@pytest.fixture(scope="module")
def fitted(year: Trace) -> Fitted:
    return fit(year, at=START + 300 * DAY)


def same(first: Forecast, second: Forecast) -> bool:
    columns = ("g_per_kwh", "low", "high")
    return first.start == second.start and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in columns
    )


def blind(trace: Trace, at: datetime) -> Trace:
    """The trace with NaN for every value after the slot in force."""
    values = trace.g_per_kwh.copy()
    values[trace.slot(at) + 1 :] = np.nan
    return replace(trace, g_per_kwh=values)


@pytest.mark.parametrize("hours", [0, 7, 100, 400])
def test_nothing_after_a_moment_changes_the_forecast_of_that_moment(year: Trace, hours: int) -> None:
    at = START + 300 * DAY + hours * HOUR + timedelta(minutes=20)
    known = fit(year, at=at).forecast(year, at)
    assert same(known, fit(blind(year, at), at=at).forecast(blind(year, at), at))
    assert same(known, fit(blind(year, at)).forecast(year, at))


def test_the_first_slot_is_the_one_in_force_and_known(year: Trace, fitted: Fitted) -> None:
    at = START + 310 * DAY + timedelta(minutes=20)
    made = fitted.forecast(year, at)
    assert (made.made_at, made.start, made.step) == (at, START + 310 * DAY, HOUR)
    assert made.g_per_kwh[0] == made.low[0] == made.high[0] == year.g_per_kwh[310 * 24]
    # 96 h after 20 past lie in the 97th hour
    assert len(made.g_per_kwh) == 97
    assert made.end == START + 310 * DAY + 97 * HOUR


@pytest.mark.parametrize("minutes", [0, 8, 59])
@pytest.mark.parametrize("hours", [4.0, 1.5, 216.0])
@pytest.mark.parametrize("step", [HOUR, HOUR / 2])
def test_a_forecast_covers_the_whole_horizon(minutes: int, hours: float, step: timedelta) -> None:
    trace = grid(40, step=step)
    at = START + 38 * DAY + timedelta(minutes=minutes)
    made = fit(trace, at=at).forecast(trace, at, timedelta(hours=hours))
    wanted = at + timedelta(hours=hours)
    assert wanted <= made.end < wanted + step


def test_rows_are_the_forecasts_of_their_hours(year: Trace, fitted: Fitted) -> None:
    hours = to_hours(year)
    at = np.arange(305 * 24, 305 * 24 + 30)
    rows = fitted.rows(hours, at)
    for row, hour in zip(rows, at, strict=True):
        made = fitted.forecast(year, START + int(hour) * HOUR, timedelta(hours=216))
        np.testing.assert_allclose(row[:-1], made.g_per_kwh[1:], rtol=1e-5)


def test_what_is_learned_beats_the_profile(year: Trace, fitted: Fitted) -> None:
    hours = to_hours(year)
    at = np.arange(301 * 24, 320 * 24)
    actual = backtest.actual_ahead(hours, at)
    plain = profile.rows(hours, at, horizon_h=HORIZON_H)
    error = np.nanmean(np.abs(fitted.rows(hours, at) - actual))
    assert error < 0.9 * np.nanmean(np.abs(plain - actual))
    assert fitted.method == "45% by hour of day + 55% all hours"


def test_four_fifths_of_what_comes_lie_in_the_interval() -> None:
    inside = []
    for seed in (1, 2, 3):
        trace = grid(500, seed=seed)
        model = fit(trace, at=START + 360 * DAY)
        for day in range(361, 490):
            made = model.forecast(trace, START + day * DAY + 5 * HOUR)
            first = trace.slot(made.start)
            actual = trace.g_per_kwh[first : first + len(made.g_per_kwh)]
            inside.append(((actual >= made.low) & (actual <= made.high))[1:])
    assert np.mean(inside) == pytest.approx(INTERVAL_LEVEL, abs=0.05)


def test_quantiles_of_the_past_are_widened_where_the_past_outgrew_them() -> None:
    draw = np.random.default_rng(0)
    expected, hour = np.full((2400, 24), 300.0), np.arange(2400)
    narrow, wide = (expected + draw.normal(0, spread, expected.shape) for spread in (10, 30))
    steady, grown = narrow, np.concatenate([narrow[:1200], wide[1200:]])
    plain = interval.measure(expected, steady, hour)[1, 2:6] - 1
    assert plain.mean() == pytest.approx(1.2816 * 10 / 300, rel=0.15)
    both = np.quantile(grown[:, 0] / 300, 0.9) - 1
    assert (interval.measure(expected, grown, hour)[1, 2:6].mean() - 1) / both > 1.2
    assert (interval.measure(expected, grown, hour)[0] >= 0).all()


def test_a_grid_that_reaches_zero_has_its_captured_share() -> None:
    trace = grid(40, noise=0.0)
    sunny = replace(trace, g_per_kwh=np.maximum(trace.g_per_kwh - 350.0, 0.0))
    hours = to_hours(sunny)
    at = np.arange(15 * 24, 30 * 24)
    captured = backtest.captured(hours, at, backtest.actual_ahead(hours, at).astype(np.float32))
    assert captured.interruptible > 0.95
    assert captured.in_one_piece > 0.95


@pytest.mark.slow
def test_intervals_hold_on_recorded_grids() -> None:
    shares = [coverage(case) for case in carbon_traces.cases(carbon_traces.FOLDER, [])]
    assert np.mean(shares) == pytest.approx(INTERVAL_LEVEL, abs=0.08)
    assert min(shares) > 0.6


def coverage(case: carbon_traces.Case) -> float:
    """How often a recorded hour lies in the interval, fitted anew every four weeks."""
    inside = []
    for first in range(case.first, len(case.hours) - 28 * 24, 28 * 24):
        model = fit(case.trace, at=start_of(case.hours.first + first))
        at = np.arange(first, first + 28 * 24, 7)
        for row, hour in zip(backtest.actual_ahead(case.hours, at)[:, :95], at, strict=True):
            made = model.forecast(case.trace, start_of(case.hours.first + int(hour)))
            inside.append(((row >= made.low[1:]) & (row <= made.high[1:]))[np.isfinite(row)])
    return float(np.concatenate(inside).mean())


def test_under_six_months_the_profile_is_used() -> None:
    trace = grid(170)
    model = fit(trace)
    assert model.method == "profile of 7 days"
    assert model.captured is None
    assert len(model.forecast(trace, trace.end - HOUR, timedelta(hours=216)).g_per_kwh) == 216


def test_the_profile_is_the_mean_hour_of_seven_days_and_the_error_decays() -> None:
    days = np.tile(np.arange(24.0), 7)
    days[-1] = 23.0 + 7.0
    hours = to_hours(Trace("zone", "test", "average lifecycle", START, HOUR, days))
    (ahead,) = profile.rows(hours, np.array([167]), horizon_h=48)
    error = 30.0 - (6 * 23.0 + 30.0) / 7
    np.testing.assert_allclose(ahead[0], 0.0 + error * np.exp(-1 / 12))
    np.testing.assert_allclose(ahead[24 + 11], 11.0 + error * np.exp(-36 / 12))


def test_a_day_of_history_is_enough_for_a_forecast() -> None:
    trace = grid(1)
    made = fit(trace).forecast(trace, trace.end - HOUR)
    assert np.isfinite(made.g_per_kwh).all()
    assert (made.low <= made.g_per_kwh).all()
    assert (made.g_per_kwh <= made.high).all()


def test_one_value_is_taken_to_last() -> None:
    trace = replace(grid(1), g_per_kwh=np.array([250.0]))
    made = fit(trace).forecast(trace, START)
    np.testing.assert_allclose(made.g_per_kwh, 250.0)


@pytest.mark.parametrize("values", [np.empty(0), np.full(100, np.nan)])
def test_an_empty_history_has_no_forecast(values: np.ndarray, fitted: Fitted) -> None:
    empty = replace(grid(1), g_per_kwh=values)
    with pytest.raises(IntensityUnavailable, match="No intensity of zone is known"):
        fit(empty)
    with pytest.raises(IntensityUnavailable, match="No intensity of zone is known"):
        fitted.forecast(empty, START + DAY)


def test_holes_are_filled_from_the_day_before_and_not_from_the_day_after() -> None:
    values = np.arange(96.0)
    values[:2] = values[30:32] = values[54] = np.nan
    hours = to_hours(Trace("zone", "test", "average lifecycle", START, HOUR, values))
    assert list(hours.g_per_kwh[:3]) == [2.0, 2.0, 2.0]
    assert list(hours.g_per_kwh[30:32]) == [6.0, 7.0]
    assert hours.g_per_kwh[54] == 6.0
    assert int((~hours.is_known).sum()) == 5


def test_a_zone_with_holes_is_forecast(year: Trace) -> None:
    draw = np.random.default_rng(3)
    values = np.where(draw.random(len(year.g_per_kwh)) < 0.1, np.nan, year.g_per_kwh)
    values[2000:2300] = np.nan
    holed = replace(year, g_per_kwh=values)
    at = START + 310 * DAY
    made = fit(holed, at=at).forecast(holed, at)
    full = fit(year, at=at).forecast(year, at)
    assert np.abs(made.g_per_kwh - full.g_per_kwh).mean() < 40


def test_a_late_value_is_bridged_and_too_late_ones_are_not(year: Trace, fitted: Fitted) -> None:
    at = START + 310 * DAY
    late = blind(year, at - 5 * HOUR)
    made = fitted.forecast(late, at)
    before = fitted.forecast(year, at - 5 * HOUR, timedelta(hours=101))
    assert made.start == at
    np.testing.assert_allclose(made.g_per_kwh, before.g_per_kwh[5:101])
    with pytest.raises(IntensityUnavailable, match="fetch the hours since"):
        fitted.forecast(blind(year, at - 130 * HOUR), at)


def test_half_hours_are_forecast_by_the_half_hour() -> None:
    trace = grid(200, step=timedelta(minutes=30))
    trace.g_per_kwh[::2] += 20
    at = START + 195 * DAY + timedelta(minutes=30)
    made = fit(trace, at=at).forecast(trace, at, timedelta(hours=48))
    assert (made.start, made.step, len(made.g_per_kwh)) == (at, timedelta(minutes=30), 96)
    first = trace.slot(at)
    actual = trace.g_per_kwh[first : first + 96]
    assert made.g_per_kwh[0] == actual[0]
    even, odd = made.g_per_kwh[1::2].mean(), made.g_per_kwh[2::2].mean()
    assert even - odd == pytest.approx(20, abs=4)


@pytest.mark.parametrize("step", [timedelta(hours=3), timedelta(minutes=25)])
def test_slots_that_do_not_divide_an_hour_are_refused(step: timedelta) -> None:
    with pytest.raises(ValueError, match="divide an hour"):
        fit(replace(grid(10), step=step))


def test_saved_and_read_it_forecasts_the_same(year: Trace, fitted: Fitted) -> None:
    at = START + 320 * DAY
    read = Fitted.from_bytes(fitted.to_bytes())
    assert same(read.forecast(year, at), fitted.forecast(year, at))
    assert (read.zone, read.method, read.captured) == (fitted.zone, fitted.method, fitted.captured)


@pytest.mark.parametrize("broken", [b"", b"nonsense", Path(__file__).read_bytes()])
def test_what_was_not_saved_by_it_is_refused(broken: bytes) -> None:
    with pytest.raises(IntensityUnavailable, match="Fit it anew"):
        Fitted.from_bytes(broken)


def test_a_saved_forecast_of_another_version_is_refused(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbon_aware_trainer.forecasting.saved.VERSION", 99)
    newer = fitted.to_bytes()
    monkeypatch.undo()
    with pytest.raises(IntensityUnavailable, match="version 99"):
        Fitted.from_bytes(newer)


def test_another_blend_is_chosen_only_where_it_is_clearly_better() -> None:
    trace = grid(30)
    hours = to_hours(trace)
    at = np.arange(240, len(hours) - HORIZON_H)
    ahead = np.lib.stride_tricks.sliding_window_view(hours.g_per_kwh, HORIZON_H)[at + 1]
    right: npt.NDArray[np.float32] = ahead.astype(np.float32)
    wrong: npt.NDArray[np.float32] = np.asarray(800 - right, dtype=np.float32)
    tested = backtest.Tested(at, (right, wrong, wrong), ())
    assert blend.choose(hours, tested)[0] == (1.0, 0.0, 0.0)
    even = backtest.Tested(at, (right, right, right), ())
    first, second = blend.usual(len(hours))
    assert blend.choose(hours, even)[0] == (first, second, 0.0)
    assert first < 0.1
    # all but what the band within which a job goes on costs
    assert 0.995 < blend.choose(hours, even)[1].interruptible < 1
    noise = np.random.default_rng(0).normal(0, 3, right.shape)
    nearly: npt.NDArray[np.float32] = (right + noise).astype(np.float32)
    close = backtest.Tested(at, (nearly, nearly, right), ())
    chosen, captured = blend.choose(hours, close)
    assert chosen == (first, second, 0.0)
    assert 1 - blend.CLEARLY < captured.mean < 1
