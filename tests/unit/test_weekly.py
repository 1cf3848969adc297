"""What a week usually has, where a forecast does not reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carbon_aware_trainer.plans import Job
from carbon_aware_trainer.strategies import adaptive, weekly
from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from tests.unit.test_forecasting import DAY, START


def week(days: int = 35) -> Trace:
    """Clean at noon, and on all of Sunday."""
    hour = np.arange(days * 24)
    weekday = (START.weekday() + hour // 24) % 7
    values = 400 - 150 * np.sin(np.pi * np.clip(hour % 24 - 6, 0, 12) / 12) - np.where(weekday == 6, 100, 0)
    return Trace("z", "p", "average lifecycle", START, HOUR, values)


def near(history: Trace, hours: int = 24) -> Forecast:
    """The truth of the next hours: those of a week before."""
    values = history.g_per_kwh[-7 * 24 :][:hours].copy()
    return Forecast(
        "z", "p", "average lifecycle", history.end, history.end, HOUR, values, values, values, "near"
    )


def test_what_a_forecast_does_not_reach_is_what_the_week_usually_has() -> None:
    history = week()
    made = weekly.extended(near(history), history, until=history.end + 7 * DAY)
    assert made is not None
    assert made.end == history.end + 7 * DAY
    truth = history.g_per_kwh[-7 * 24 :]
    np.testing.assert_array_equal(made.g_per_kwh[:24], truth[:24])
    assert np.corrcoef(made.g_per_kwh[24:], truth[24:])[0, 1] > 0.95
    assert (made.low <= made.g_per_kwh).all()
    assert made.method == "near, then profile of the week"


def test_a_job_waits_for_a_sunday_beyond_the_forecast() -> None:
    history = week()
    job = Job(24 * HOUR, history.end + 7 * DAY)
    cut = near(history)
    reached = weekly.extended(cut, history, until=job.deadline)
    assert adaptive.decide(job, cut, now=history.end).action == "run"
    assert adaptive.decide(job, reached, now=history.end).action == "wait"


def test_a_forecast_is_left_as_it_is_where_it_reaches_or_nothing_fits_it() -> None:
    history = week()
    made = near(history)
    until = history.end + 7 * DAY
    assert weekly.extended(made, history, until=made.end) is made
    assert weekly.extended(made, None, until=until) is made
    assert weekly.extended(made, replace(history, provider="q"), until=until) is made
    assert weekly.extended(made, replace(history, basis="marginal lifecycle"), until=until) is made
    assert weekly.extended(made, week(6), until=until) is made
    assert weekly.extended(None, history, until=until) is None


def test_without_a_forecast_a_recent_history_says_what_is_usual() -> None:
    history = week()
    now = history.end + 7 * DAY
    made = weekly.usual(history, now=now, until=now + 2 * DAY)
    assert made is not None
    assert (made.start, made.end) == (now, now + 2 * DAY)
    assert np.argmin(made.g_per_kwh[:24]) == 12
    assert weekly.usual(history, now=history.end + 15 * DAY, until=now + 16 * DAY) is None
    assert weekly.usual(week(6), now=now, until=now + DAY) is None


def test_a_level_fades_to_the_mean_of_the_last_weeks() -> None:
    known = weekly.profile(week())
    assert known is not None
    hour = np.array([0, 24 * 7 * 4])
    high = known.values(hour, level=known.mean * 2, since=0) / known.shape(hour)
    assert high == pytest.approx([known.mean * 2, known.mean], rel=1e-4)
