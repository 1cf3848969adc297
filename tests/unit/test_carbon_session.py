"""What a training does that takes longer than was said, and when it is told to run while it looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbon_aware_trainer.core.taking import StateChange
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer, TrainingConfig
from carbon_aware_trainer.records import Intensity
from tests.carbon_parts import HOUR, START, Clock, write_grid
from tests.unit.test_carbon_trainer import trainer, work

# dirty from the third hour on, clean again ten hours later
GRID: list[float | None] = [*[100.0] * 2, *[300.0] * 10, *[100.0] * 12]


@pytest.mark.parametrize("policy", ["adaptive", "threshold"])
def test_a_training_that_overruns_its_estimate_runs_without_a_pause_and_says_so(
    tmp_path: Path, policy: str
) -> None:
    clock = Clock()
    given = {"carbon_threshold": 150.0} if policy == "threshold" else {}
    config = TrainingConfig(policy=policy, duration_hours=2.0, deadline=START + 20 * HOUR, **given)  # type: ignore[arg-type]
    with trainer(tmp_path, GRID, clock, config=config, api_key=days(tmp_path)) as used:
        work(used, clock, 300)
    assert clock.waits == []
    assert used.decisions[-1].reason == (
        "It takes longer than was estimated. It runs without a pause until it is done."
    )


def days(path: Path) -> str:
    """Return twenty days like GRID, and the one under way."""
    return write_grid(path / "days.json", GRID * 22, start=START - 20 * 24 * HOUR)


def test_time_before_the_first_step_is_no_running(tmp_path: Path) -> None:
    clock = Clock()
    config = TrainingConfig(carbon_threshold=150.0, duration_hours=2.0)
    with trainer(tmp_path, [100.0, 100.0, 300.0, 100.0, 100.0], clock, config=config) as used:
        clock.pass_by(3600)
        work(used, clock, 120)
        metrics = used.get_carbon_metrics()
    assert (metrics.running_duration, metrics.paused_duration) == (2 * 3600, 3600)
    assert metrics.total_energy_kwh == pytest.approx(4.0)


def test_run_now_that_a_listener_asks_for_is_heard_before_the_wait(tmp_path: Path) -> None:
    clock = Clock()
    used = trainer(tmp_path, [300.0] * 8, clock)

    def ask(change: StateChange) -> None:
        if change.state == "paused":
            used.run_now()

    used.on_state_change(ask)
    with used:
        work(used, clock, 60)
    assert used.get_carbon_metrics().paused_duration == 0


def test_run_now_during_a_look_is_heard_by_that_look(tmp_path: Path) -> None:
    clock = Clock()
    used: CarbonAwareTrainer = trainer(tmp_path, [300.0] * 8, clock)
    provider = used.session._monitor.provider
    fetch = provider.fetch_latest

    def asked_meanwhile(zone: str) -> Intensity:
        used.run_now("Somebody is in a hurry.")
        return fetch(zone)

    provider.fetch_latest = asked_meanwhile  # type: ignore[method-assign]
    with used:
        work(used, clock, 1)
    assert clock.waits == []
    assert used.decisions[0].reason == "Somebody is in a hurry."
