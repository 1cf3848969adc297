from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.core.taking import StateChange
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer, TrainingConfig
from carbon_aware_trainer.errors import CarbonError, KeyRefused, UnknownModel, UnknownZone
from carbon_aware_trainer.providers import Provider, open_provider
from carbon_aware_trainer.traces import Trace
from tests.carbon_parts import HOUR, START, Clock, SteadyGauge, Weight, distance, write_grid

CONFIG = TrainingConfig(carbon_threshold=100.0, pause_threshold=150.0, resume_threshold=80.0)
MODEL = Weight()


def trainer(
    path: Path, hours: list[float | None], clock: Clock, *, model: Any = MODEL, **options: Any
) -> CarbonAwareTrainer:
    given = {
        "config": CONFIG, "gauge": SteadyGauge(), "clock": clock, "carbon_model": "cached", "region": "US-CA",
        "api_key": write_grid(path / "grid.json", hours), "loss_fn": distance, **options,
    }  # fmt: skip
    return CarbonAwareTrainer(model, model, **given)


def work(used: CarbonAwareTrainer, clock: Clock, minutes: int) -> None:
    """Take a step a minute."""
    for _ in range(minutes):
        used.train_step_sync((1.0, 0.0))
        clock.pass_by(60)


def test_a_step_trains_on_a_batch_and_returns_its_loss(tmp_path: Path) -> None:
    model = Weight()
    with trainer(tmp_path, [90.0], Clock(), model=model) as used:
        assert used.train_step_sync((2.0, 1.0)) == 7.0
    assert model.steps == 1


def test_the_models_own_step_is_taken_without_a_loss(tmp_path: Path) -> None:
    class Own(Weight):
        def training_step(self, batch: tuple[float, float], index: int) -> dict[str, Any]:
            return {"loss": self(batch[0] + index)}

    with trainer(tmp_path, [90.0], Clock(), model=Own(), loss_fn=None) as used:
        losses = [used.train_step_sync((1.0, 0.0)) for _ in range(2)]
    assert losses == pytest.approx([4.0, 3.9 * 2])


def test_it_waits_for_its_start_and_pauses_and_resumes_where_the_thresholds_say(tmp_path: Path) -> None:
    clock, heard = Clock(), list[StateChange]()
    # waits above 100, starts, runs on at 150, pauses above it, waits above 80, goes on
    used = trainer(tmp_path, [101.0, 100.0, 150.0, 151.0, 81.0, 80.0, 80.0], clock)
    used.on_state_change(heard.append)
    with used:
        work(used, clock, 180)
    assert [(change.state, change.at - START) for change in heard] == [
        ("paused", 0 * HOUR),
        ("running", HOUR),
        ("paused", 3 * HOUR),
        ("running", 5 * HOUR),
        ("stopped", 6 * HOUR),
    ]
    assert [change.intensity for change in heard] == [101, 100, 151, 80, 80]
    assert heard[2].reason == "151 g/kWh is above the threshold of 150."
    metrics = used.get_carbon_metrics()
    assert (metrics.pauses, metrics.steps, metrics.state) == (2, 180, "stopped")
    assert (metrics.paused_duration, metrics.running_duration) == (3 * 3600, 3 * 3600)


def test_a_pause_comes_before_a_step_and_never_in_one(tmp_path: Path) -> None:
    clock, model = Clock(), Weight()
    steps_at_pauses = list[int]()
    used = trainer(tmp_path, [90.0, 200.0, 70.0], clock, model=model)
    used.on_state_change(lambda _: steps_at_pauses.append(model.steps))
    with used:
        work(used, clock, 59)
        clock.pass_by(60)
        used.train_step_sync((1.0, 0.0))
    assert steps_at_pauses == [0, 59, 60 - 1, 60]


def test_energy_and_co2_are_those_of_the_hours_in_which_it_ran(tmp_path: Path) -> None:
    clock = Clock()
    with trainer(tmp_path, [100.0, 60.0, 60.0], clock) as used:
        work(used, clock, 90)
        metrics = used.get_carbon_metrics()
    assert metrics.total_energy_kwh == pytest.approx(1.5)
    assert metrics.total_carbon_kg == pytest.approx((100 + 0.5 * 60) / 1000)
    assert metrics.average_intensity == pytest.approx(130 / 1.5)
    assert metrics.current_intensity == 60.0
    assert metrics.carbon_saved_kg == pytest.approx(0.0)
    assert (metrics.energy_quality, metrics.region, metrics.provider) == ("measured", "US-CA", "cached")
    assert dict(metrics)["total_energy_kwh"] == metrics["total_energy_kwh"] == metrics.total_energy_kwh


def test_what_was_saved_is_realised_against_running_without_any_pause(tmp_path: Path) -> None:
    clock, gauge = Clock(), SteadyGauge()
    used = trainer(tmp_path, [90.0, 300.0, 200.0, 70.0, 50.0], clock, gauge=gauge)
    used.on_state_change(lambda change: setattr(gauge, "kw", 0.0 if change.state == "paused" else 1.0))
    with used:
        work(used, clock, 120)
    metrics = used.get_carbon_metrics()
    assert metrics.total_carbon_kg == pytest.approx((90 + 70) / 1000)
    assert metrics.run_now_carbon_kg == pytest.approx((90 + 300) / 1000)
    assert metrics.carbon_saved_kg == pytest.approx((300 - 70) / 1000)


def test_what_is_used_in_a_pause_counts_and_can_make_waiting_a_loss(tmp_path: Path) -> None:
    clock = Clock()
    with trainer(tmp_path, [90.0, 160.0, 160.0, 80.0], clock) as used:
        work(used, clock, 120)
    metrics = used.get_carbon_metrics()
    assert metrics.total_energy_kwh == pytest.approx(4.0)
    assert metrics.carbon_saved_kg == pytest.approx((90 + 160 - (90 + 160 + 160 + 80)) / 1000)


def test_an_unknown_energy_is_none_with_its_reason(tmp_path: Path) -> None:
    clock = Clock()
    with trainer(tmp_path, [90.0], clock, gauge=SteadyGauge(reason="No meter.")) as used:
        work(used, clock, 10)
    metrics = used.get_carbon_metrics()
    assert (metrics.total_energy_kwh, metrics.total_carbon_kg, metrics.carbon_saved_kg) == (None, None, None)
    assert metrics.reason == "No meter."


def test_without_an_intensity_it_runs_and_says_why(tmp_path: Path) -> None:
    clock = Clock(START + timedelta(days=2))
    with trainer(tmp_path, [200.0], clock) as used:
        work(used, clock, 10)
        metrics = used.get_carbon_metrics()
    assert clock.waits == []
    assert metrics.total_carbon_kg is None
    assert metrics.reason is not None
    assert used.decisions[0].reason.startswith("The intensity is not known. It runs now. ")
    assert "newest value of US-CA is of 2026-06-01 12:00 UTC" in used.decisions[0].reason


def test_a_gap_of_the_provider_is_filled_from_its_record_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    path = write_grid(tmp_path / "grid.json", [None, 90.0])
    with trainer(tmp_path, [None, 90.0], clock) as used:
        work(used, clock, 90)
        partly = used.get_carbon_metrics()
        assert partly.total_carbon_kg == pytest.approx(0.045)
        assert partly.carbon_saved_kg is None
        assert partly.unknown_carbon_duration == 3600
        write_grid(tmp_path / "grid.json", [50.0, 90.0])
    assert path == str(tmp_path / "grid.json")
    assert used.get_carbon_metrics().total_carbon_kg == pytest.approx((50 + 45) / 1000)


def test_a_value_counts_no_longer_than_three_hours_after_it_was_confirmed(tmp_path: Path) -> None:
    clock = Clock()
    # the provider gives its last value, of 14:00, until 17:00
    with trainer(tmp_path, [90.0, 90.0, 90.0, *[None] * 12, 90.0], clock) as used:
        work(used, clock, 60 * 8)
        assert used.get_carbon_metrics().total_carbon_kg == pytest.approx(0.72)
        work(used, clock, 60 * 2)
    metrics = used.get_carbon_metrics()
    assert metrics.total_energy_kwh == pytest.approx(10.0)
    assert metrics.total_carbon_kg == pytest.approx(0.72)
    assert metrics.unknown_carbon_duration == 2 * 3600
    assert metrics.reason is not None
    assert metrics.reason.startswith("cached has no intensity of US-CA from 2026-06-01 20:00:00 to")


def test_between_two_looks_a_step_asks_nobody(tmp_path: Path) -> None:
    clock = Clock()
    with trainer(tmp_path, [90.0, 90.0], clock) as used:
        for _ in range(100):
            used.train_step_sync((1.0, 0.0))
            clock.pass_by(6)
    assert len(used.decisions) == 2, "one at the begin, one after five of ten minutes"


def test_the_deadline_wins_over_the_threshold(tmp_path: Path) -> None:
    clock = Clock()
    config = TrainingConfig(
        carbon_threshold=100.0, duration_hours=2.0, deadline=START + 5 * HOUR, check_interval=600.0
    )
    with trainer(tmp_path, [300.0] * 8, clock, config=config) as used:
        work(used, clock, 120)
    assert clock.now() <= START + 5 * HOUR
    assert used.decisions[-1].reason == "It has to run to be done by 2026-06-01 17:00 UTC."
    assert used.get_carbon_metrics().paused_duration > 2.7 * 3600


def test_all_pauses_together_are_limited(tmp_path: Path) -> None:
    clock = Clock()
    config = TrainingConfig(carbon_threshold=100.0, max_pause_hours=2.0)
    with trainer(tmp_path, [300.0] * 8, clock, config=config) as used:
        work(used, clock, 60)
    assert used.get_carbon_metrics().paused_duration == 2 * 3600


def test_run_now_ends_a_wait_from_another_thread_and_for_good(tmp_path: Path) -> None:
    clock = Clock()
    used = trainer(tmp_path, [300.0] * 8, clock)

    def ask(change: StateChange) -> None:
        if change.state == "paused":
            used.run_now("Somebody is in a hurry.")

    used.on_state_change(ask)
    with used:
        work(used, clock, 60)
    assert len(clock.waits) == 1
    assert used.decisions[-1].reason == "Somebody is in a hurry."


def test_the_adaptive_policy_waits_for_the_cleanest_hours_before_the_deadline(tmp_path: Path) -> None:
    clock = Clock()
    values: list[float | None] = [200.0 if (i % 24) < 6 else 100.0 for i in range(24 * 30)]
    file = write_grid(tmp_path / "past.json", values, start=START - 24 * 29 * HOUR)
    config = TrainingConfig(policy="adaptive", duration_hours=3.0, deadline=START + 20 * HOUR)
    with trainer(tmp_path, [], clock, api_key=file, config=config) as used:
        work(used, clock, 180)
    metrics = used.get_carbon_metrics()
    assert metrics.paused_duration == 6 * 3600
    assert metrics.average_intensity is not None
    assert used.decisions[0].threshold_g_per_kwh == pytest.approx(100.0, rel=0.05)


def test_without_thresholds_a_percentile_of_the_zones_own_past_is_taken(tmp_path: Path) -> None:
    clock = Clock()
    values: list[float | None] = [float(100 + i % 100) for i in range(24 * 30)]
    file = write_grid(tmp_path / "past.json", values, start=START - 24 * 20 * HOUR)
    with trainer(tmp_path, [], clock, api_key=file, config=TrainingConfig(percentile=50)) as used:
        work(used, clock, 1)
    assert used.decisions[0].threshold_g_per_kwh == pytest.approx(147.5, abs=5)


class FreeKey:
    """A provider that shows a day of its past."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self.provider, name)

    def fetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        if end - start > timedelta(days=1):
            raise KeyRefused("Your key shows the last day.")
        return self.provider.fetch_history(zone, start, end)


def test_a_key_that_shows_a_day_gives_the_percentile_of_that_day(tmp_path: Path) -> None:
    clock = Clock()
    file = write_grid(
        tmp_path / "past.json", [*[500.0] * 24 * 9, *[100.0] * 25], start=START - 10 * 24 * HOUR
    )
    provider: Any = FreeKey(open_provider("cached", api_key=file, now=clock.now))
    with trainer(tmp_path, [], clock, provider=provider, config=TrainingConfig()) as used:
        work(used, clock, 1)
    assert used.decisions[0].threshold_g_per_kwh == 100.0


def test_without_a_threshold_or_a_past_it_runs_and_says_why(tmp_path: Path) -> None:
    clock = Clock(START + timedelta(days=800))
    with trainer(tmp_path, [300.0], clock, config=TrainingConfig()) as used:
        work(used, clock, 1)
    assert clock.waits == []
    assert "for want of a history" in used.decisions[0].reason


def test_an_async_training_waits_and_tells_async_listeners(tmp_path: Path) -> None:
    clock, heard = Clock(), list[str]()

    async def main() -> None:
        async with trainer(tmp_path, [120.0, 90.0], clock) as used:

            @used.on_state_change
            async def listen(change: StateChange) -> None:
                heard.append(change.state)

            assert await used.train_step((1.0, 0.0)) is not None

    asyncio.run(main())
    assert heard == ["paused", "running", "stopped"]
    assert clock.waits == [300.0] * 12


def test_async_listeners_are_told_outside_of_event_loops_too(tmp_path: Path) -> None:
    heard = list[str]()

    async def listen(change: StateChange) -> None:
        heard.append(change.state)

    used = trainer(tmp_path, [90.0], Clock())
    used.on_state_change(listen)
    with used:
        used.train_step_sync((1.0, 0.0))
    assert heard == ["running", "stopped"]


def test_a_listener_that_fails_ends_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    used = trainer(tmp_path, [90.0], Clock())
    used.on_state_change(lambda _: 1 / 0)
    with used:
        used.train_step_sync((1.0, 0.0))
    assert "a listener to state=running failed" in caplog.text


def test_a_training_that_fails_says_so_and_stops_measuring(tmp_path: Path) -> None:
    gauge, heard = SteadyGauge(), list[StateChange]()
    used = trainer(tmp_path, [90.0], Clock(), gauge=gauge)
    used.on_state_change(heard.append)
    with pytest.raises(ZeroDivisionError), used:
        used.train_step_sync((1.0 / 0, 0.0))
    assert heard[-1].reason == "The training ended with ZeroDivisionError: float division by zero"
    assert not gauge.is_on


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"region": "US-CAA"}, UnknownZone),
        ({"carbon_model": "cashed"}, UnknownModel),
        ({"carbon_model": "electricitymap", "api_key": None}, KeyRefused),
        ({"region": ""}, CarbonError),
    ],
)
def test_what_cannot_work_is_said_at_once(
    tmp_path: Path, options: dict[str, Any], error: type[CarbonError]
) -> None:
    with pytest.raises(error):
        trainer(tmp_path, [90.0], Clock(), **options)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"carbon_threshold": 200, "pause_threshold": 150}, "Set it to at most pause_threshold"),
        ({"resume_threshold": 200, "pause_threshold": 150}, "Set it to at most pause_threshold"),
        ({"pause_threshold": -1}, "0 g/kWh or more"),
        ({"percentile": 101}, "0 to 100"),
        ({"check_interval": 0}, "above 0"),
        ({"max_pause_hours": -1}, "0 or more"),
        ({"policy": "magic"}, "Use one of threshold, adaptive, run now"),
        ({"policy": "adaptive"}, "needs duration_hours and a deadline"),
        ({"deadline": START}, "needs duration_hours"),
        ({"deadline": START.replace(tzinfo=None), "duration_hours": 1}, "with its offset"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(CarbonError, match=text):
        TrainingConfig(**wrong)


def test_thresholds_that_are_not_given_follow_from_the_others() -> None:
    start_only = TrainingConfig(carbon_threshold=100.0)
    assert start_only.start_g_per_kwh == 100.0
    assert start_only.pause_g_per_kwh == pytest.approx(105.0)
    assert start_only.resume_g_per_kwh == pytest.approx(100.0)
    pause_only = TrainingConfig(pause_threshold=210.0)
    assert pause_only.start_g_per_kwh == 210.0
    assert pause_only.resume_g_per_kwh == pytest.approx(200.0)
    assert not TrainingConfig().has_threshold
