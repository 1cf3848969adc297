"""Policies over recorded hours: the replay is the product's decisions, and no deadline is missed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bench import carbon, carbon_scenario, carbon_traces
from carbon_aware_trainer.errors import AnswerRefused, IntensityUnavailable
from carbon_aware_trainer.plans import Job
from carbon_aware_trainer.strategies import adaptive, replay, windows
from carbon_aware_trainer.strategies.replay import Cell, Moment, Replay
from carbon_aware_trainer.traces import HOUR, Forecast

START = datetime(2026, 1, 1, tzinfo=UTC)


def recorded(
    count: int = 600, ahead: int = 60, *, seed: int = 0, failing: float = 0.0, room: float = 0.0
) -> Replay:
    draw = np.random.default_rng(seed)
    actual = 300 + 100 * np.sin(np.arange(count + ahead) / 4) + draw.normal(0, 30, count + ahead)
    rows = np.lib.stride_tricks.sliding_window_view(actual, ahead)[:count].copy()
    rows[:, 1:] += draw.normal(0, 40, (count, ahead - 1))
    low = rows * (1 - room * np.arange(ahead) / ahead)
    return Replay(
        actual[:count], rows.astype(np.float32), draw.random(count) < failing, low.astype(np.float32)
    )


def foreseen(actual: replay.Floats) -> Replay:
    """Hours of which the next 40 are known in each."""
    truth = np.lib.stride_tricks.sliding_window_view(actual, 40)
    return Replay(actual[: len(truth)], truth.astype(np.float32), np.zeros(len(truth), dtype=bool))


def decided(case: Replay, cell: Cell, start: int) -> tuple[float, int]:
    """Grams and hours of work left of one job that asks the product's ``decide`` every hour."""
    left, grams, ran = cell.job_h, 0.0, False
    deadline = START + (start + cell.total_h) * HOUR
    for hour in range(start, start + cell.total_h):
        now = START + hour * HOUR
        assert case.low is not None
        row, low = case.expected[hour].astype(np.float64), case.low[hour].astype(np.float64)
        made = Forecast("z", "p", "average lifecycle", now, now, HOUR, row, low, row, "made")
        work = Job(left * HOUR, deadline, cell.is_interruptible, is_running=ran)
        found = None if case.failed[hour] else made
        ran = left > 0 and adaptive.decide(work, found, now=now).action == "run"
        if ran:
            left -= 1
            grams += case.actual[hour]
    return grams, left


@pytest.mark.parametrize(("failing", "room"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.8)])
@pytest.mark.parametrize("is_interruptible", [True, False])
def test_the_replay_decides_as_the_product_does(is_interruptible: bool, failing: float, room: float) -> None:
    case = recorded(failing=failing, room=room)
    for cell in (Cell(4, 2, is_interruptible), Cell(5, 24, is_interruptible), Cell(12, 40, is_interruptible)):
        for start in range(0, 500, 45):
            grams, left = decided(case, cell, start)
            found = replay.run(case, replay.adapt, cell, np.array([start]))
            now = case.actual[start : start + cell.job_h].sum()
            assert left == 0
            assert found.saving == pytest.approx(1 - grams / now, abs=1e-9)


@pytest.mark.parametrize("failing", [0.0, 0.2])
def test_twenty_thousand_jobs_meet_their_deadlines_also_with_a_failing_provider(failing: float) -> None:
    draw = np.random.default_rng(1)
    missed = replayed = 0
    for is_interruptible in (True, False):
        for job in (1, 4, 12, 24):
            for slack in (0, 1, job, 30):
                case = recorded(seed=job + slack, failing=failing)
                cell = Cell(job, slack, is_interruptible)
                starts = draw.integers(0, len(case.actual) - cell.total_h + 1, size=700)
                for policy in (replay.adapt, replay.below(0.0)):
                    missed += replay.run(case, policy, cell, starts).missed
                    replayed += len(starts)
    assert (missed, replayed) == (0, 44_800)


def test_a_provider_that_fails_leaves_the_last_forecast_until_it_is_stale() -> None:
    sure = recorded(count=400)
    hour = np.arange(400)
    found = carbon.with_failures(sure, (hour == 0) | (hour == 10) | ((hour >= 100) & (hour < 107)))
    assert list(np.flatnonzero(found.failed)) == [0, 104, 105, 106]
    np.testing.assert_array_equal(found.expected[10, :-1], sure.expected[9, 1:])
    np.testing.assert_array_equal(found.expected[103, :-4], sure.expected[99, 4:])
    assert found.expected[10, -1] == sure.expected[9, -24]
    np.testing.assert_array_equal(found.expected[11], sure.expected[11])
    np.testing.assert_array_equal(found.actual, sure.actual)


def test_nothing_of_an_hour_that_failed_is_known_in_it() -> None:
    sure = recorded(count=400)
    failed = np.arange(400) % 3 == 2
    other = Replay(sure.actual, np.where(failed[:, None], 0, sure.expected), sure.failed, sure.expected)
    known = Replay(sure.actual, sure.expected, sure.failed, sure.expected)
    np.testing.assert_array_equal(
        carbon.with_failures(known, failed).expected, carbon.with_failures(other, failed).expected
    )


def test_a_deadline_that_is_missed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(policy: replay.Policy, moment: Moment, failed: replay.Bools) -> replay.Bools:
        return np.zeros(len(failed), dtype=bool)

    monkeypatch.setattr(replay, "_runs", lazy)
    assert replay.run(recorded(), replay.adapt, Cell(2, 3, True), np.array([0, 9])).missed == 2


@pytest.mark.parametrize("is_interruptible", [True, False])
def test_a_perfect_forecast_saves_what_the_oracle_does_where_pauses_are_free(
    is_interruptible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptive, "KEEP_RUNNING_SHARE", 0.0)
    perfect = foreseen(recorded().actual)
    cell, starts = Cell(6, 30, is_interruptible), np.arange(0, 500, 7)
    got, best = replay.run(perfect, replay.adapt, cell, starts), replay.best(perfect, cell, starts)
    assert got.saving == pytest.approx(best.saving, rel=1e-5)
    assert got.saving_of_totals == pytest.approx(best.saving_of_totals, rel=1e-5)


@pytest.mark.parametrize("spread", [100.0, 5.0])
def test_to_keep_running_costs_little_also_on_a_flat_grid(spread: float) -> None:
    draw = np.random.default_rng(0)
    actual = 400 + spread * (np.sin(np.arange(600) / 4) + draw.normal(0, 0.3, 600))
    perfect = foreseen(actual)
    cell, starts = Cell(6, 30, True), np.arange(0, 500, 7)
    got, best = replay.run(perfect, replay.adapt, cell, starts), replay.best(perfect, cell, starts)
    assert 0.99 * best.saving < got.saving < best.saving


def test_no_policy_is_shown_an_hour_after_the_deadline() -> None:
    shown = []

    def watch(moment: Moment) -> replay.Bools:
        shown.append(moment.expected.shape[1])
        return np.zeros(len(moment.left_h), dtype=bool)

    replay.run(recorded(), watch, Cell(2, 5, True), np.array([0]))
    assert shown == [7, 6, 5, 4, 3]


@pytest.mark.parametrize("is_interruptible", [True, False])
def test_where_running_at_once_emits_nothing_nothing_is_saved(is_interruptible: bool) -> None:
    actual = np.where(np.arange(600) % 48 < 24, 0.0, 333.33)
    cell, starts = Cell(6, 30, is_interruptible), np.arange(0, 500, 7)
    for outcome in (
        replay.run(foreseen(actual), replay.adapt, cell, starts),
        replay.best(foreseen(actual), cell, starts),
    ):
        assert 0 < outcome.saving < 1
        assert 0 < outcome.saving_of_totals <= 1
    nowhere = replay.best(foreseen(np.zeros(600)), cell, starts)
    assert (nowhere.saving, nowhere.saving_of_totals) == (0.0, 0.0)


def test_running_at_once_saves_nothing() -> None:
    case = recorded(failing=1.1)
    outcome = replay.run(case, replay.adapt, Cell(6, 30, True), np.arange(0, 500, 7))
    assert (outcome.saving, outcome.saving_of_totals, outcome.missed) == pytest.approx((0.0, 0.0, 0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    hour = np.arange(24 * 80)
    values = 300 + 80 * np.sin(hour / 24 * 2 * np.pi)
    lines = [f"{START + int(i) * HOUR:%Y-%m-%dT%H:%M:%SZ},{v:.1f}" for i, v in zip(hour, values, strict=True)]
    lines[5] = lines[5].partition(",")[0] + ","
    (tmp_path / "XX__made.csv").write_text("datetime,carbon_intensity\n" + "\n".join(lines) + "\n")
    return tmp_path


def test_the_last_line_of_the_bench_has_the_keys_that_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carbon.main(["--quick", "--traces", str(folder), "--zones", "XX"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["captured_int"] > 0.9
    assert found["missed_deadlines"] == 0
    assert found["replayed"] == 6 * 20 * 120
    assert {"captured_int", "captured_ni", "threshold_int", "threshold_ni"} <= set(
        found["per_zone"]["XX__made"]
    )


def write_days(folder: Path, name: str, *day: float) -> None:
    lines = [f"{START + i * HOUR:%Y-%m-%dT%H:%M:%SZ},{day[i % len(day)]}" for i in range(24 * 80)]
    (folder / f"{name}__made.csv").write_text("\n".join(["datetime,carbon_intensity", *lines]) + "\n")


def test_the_bench_takes_a_grid_that_reaches_zero_and_a_flat_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_days(tmp_path, "FLAT", 300.0)
    write_days(tmp_path, "HYDRO", 0.0)
    write_days(tmp_path, "SUN", *[300.0] * 12, *[0.0] * 12)
    assert carbon.main(["--quick", "--traces", str(tmp_path)]) == 0

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    found = json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=refuse)
    zones = found["per_zone"]
    assert zones["SUN__made"]["captured_int"] > 0.9
    assert zones["FLAT__made"]["captured_int"] is zones["HYDRO__made"]["captured_ni"] is None
    assert found["captured_int"] == zones["SUN__made"]["captured_int"]


def test_no_forecast_of_the_bench_knows_an_hour_that_has_not_begun(tmp_path: Path) -> None:
    hour = np.arange(24 * 400)
    weather = np.random.default_rng(0).normal(0, 5, len(hour)).cumsum() * 0.1
    for name, later in (("XX", 0.0), ("YY", 2000.0)):
        values = 300 + 80 * np.sin(hour / 24 * 2 * np.pi) + weather + np.where(hour >= 5100, later, 0.0)
        pairs = zip(hour, values, strict=True)
        lines = [f"{START + int(i) * HOUR:%Y-%m-%dT%H:%M:%SZ},{value:.3f}" for i, value in pairs]
        (tmp_path / f"{name}__made.csv").write_text("\n".join(["datetime,carbon_intensity", *lines]) + "\n")
    found = carbon_traces.cases(tmp_path, [])
    known = 5100 - 4800
    made = [carbon.forecasts(case, refit_h=4800) for case in found]
    assert [case.first for case in found] == [4800, 4800]
    for column in (0, 1):
        np.testing.assert_array_equal(made[0][column][:known], made[1][column][:known])


def test_the_last_year_of_a_long_trace_is_unseen_and_the_last_half_of_a_short_one(folder: Path) -> None:
    (case,) = carbon_traces.cases(folder, [])
    assert (case.name, case.trace.zone, case.trace.provider) == ("XX__made", "XX", "made")
    assert (len(case.hours), case.first) == (1920, 960)
    assert not case.hours.is_known[5]


def test_a_file_that_is_no_trace_is_named(tmp_path: Path) -> None:
    (tmp_path / "XX__made.csv").write_text("time,value\n1,2\n")
    with pytest.raises(IntensityUnavailable, match=r"XX__made\.csv has no column"):
        carbon_traces.cases(tmp_path, [])
    with pytest.raises(SystemExit, match="has no trace of FR"):
        carbon_traces.cases(tmp_path, ["FR"])


@pytest.mark.parametrize(
    ("done", "next_workday", "semi_weekly"),
    [
        ("2020-01-08T10:30", "2020-01-08T10:30", "2020-01-09T09:00"),
        ("2020-01-08T18:00", "2020-01-09T09:00", "2020-01-09T09:00"),
        ("2020-01-08T03:00", "2020-01-08T09:00", "2020-01-09T09:00"),
        ("2020-01-09T09:30", "2020-01-09T09:30", "2020-01-13T09:00"),
        ("2020-01-11T12:00", "2020-01-13T09:00", "2020-01-13T09:00"),
        ("2020-01-12T12:00", "2020-01-13T09:00", "2020-01-13T09:00"),
    ],
)
def test_deadlines_of_the_scenario(done: str, next_workday: str, semi_weekly: str) -> None:
    at = datetime.fromisoformat(done).replace(tzinfo=UTC)
    assert f"{carbon_scenario.next_workday(at):%Y-%m-%dT%H:%M}" == next_workday
    assert f"{carbon_scenario.semi_weekly(at):%Y-%m-%dT%H:%M}" == semi_weekly


def test_a_trace_may_miss_rows_and_offsets(tmp_path: Path) -> None:
    hours = [hour for hour in range(24 * 20) if hour not in (1, 50)]
    lines = [f"{START + hour * HOUR:%Y-%m-%d %H:%M:%S},{hour}" for hour in hours]
    (tmp_path / "XX__made.csv").write_text("\n".join(["datetime,carbon_intensity", *lines]) + "\n")
    (case,) = carbon_traces.cases(tmp_path, [])
    assert (case.trace.start, case.trace.step, len(case.hours)) == (START, HOUR, 24 * 20)
    assert list(np.flatnonzero(~case.hours.is_known)) == [1, 50]


@pytest.mark.parametrize("value", ["-5", "9e9", "much"])
def test_a_trace_with_a_value_that_cannot_be_true_is_refused(tmp_path: Path, value: str) -> None:
    write_days(tmp_path, "XX", 300.0)
    with (tmp_path / "XX__made.csv").open("a") as file:
        file.write(f"2026-03-22T00:00Z,{value}\n")
    with pytest.raises(AnswerRefused, match="line 1922"):
        carbon_traces.cases(tmp_path, [])


def test_a_trace_with_a_value_a_day_is_refused(tmp_path: Path) -> None:
    lines = [f"2026-01-{day:02d}T00:00Z,300" for day in range(1, 30)]
    (tmp_path / "XX__made.csv").write_text("\n".join(["datetime,carbon_intensity", *lines]) + "\n")
    with pytest.raises(IntensityUnavailable, match="a value every 1 day"):
        carbon_traces.cases(tmp_path, [])


def test_the_scenario_refuses_a_trace_without_its_year(tmp_path: Path) -> None:
    write_days(tmp_path, "XX", 300.0)
    with pytest.raises(
        IntensityUnavailable, match=r"2026-01-01 to 2026-03-22\. The scenario needs all of 2020"
    ):
        carbon_scenario.half_hours(tmp_path / "XX__made.csv")


def test_the_scenario_saves_more_in_pieces_and_nothing_on_a_flat_grid() -> None:
    wave = np.repeat(300 + 80 * np.sin(np.arange(400 * 24) / 24 * 2 * np.pi), 2)
    jobs = carbon_scenario.trainings(20)
    assert all(timedelta(hours=4) <= job.duration < timedelta(hours=90) for job in jobs)
    savings = [
        carbon_scenario.saving(wave, jobs, search, carbon_scenario.semi_weekly)
        for search in (windows.best_window, windows.best_slots)
    ]
    assert 0 < savings[0] < savings[1]
    flat = np.full_like(wave, 300.0)
    assert carbon_scenario.saving(flat, jobs, windows.best_slots, carbon_scenario.semi_weekly) == 0
