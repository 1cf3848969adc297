"""What a training does that takes longer than was said, and when it is told to run while it looks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from carbon_aware_trainer.core.taking import StateChange
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer, TrainingConfig
from carbon_aware_trainer.integrations.queues import drain_of
from carbon_aware_trainer.records import Intensity
from tests.carbon_parts import HOUR, START, Clock, SteadyGauge, write_grid
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


def test_what_a_device_still_has_to_do_is_charged_to_the_hour_before_the_pause(tmp_path: Path) -> None:
    clock = Clock()
    used = trainer(tmp_path, [100.0, 300.0, 70.0], clock, gauge=SteadyGauge())
    left_s = [600.0]

    def drain() -> None:
        clock.pass_by(left_s.pop() if left_s and clock.at >= START + HOUR else 0.0)

    used.session._drain = drain
    with used:
        work(used, clock, 62)
        metrics = used.get_carbon_metrics()
    assert metrics.running_duration == pytest.approx(3600 + 600 + 120, abs=60)
    assert metrics.paused_duration == pytest.approx(3600 - 600, abs=300)


def test_a_gpu_is_waited_for_and_one_that_failed_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch = pytest.importorskip("torch")
    asked = list[str]()

    def synchronize(device: str) -> None:
        asked.append(device)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    drain = drain_of("cuda:1")
    assert drain is not None
    drain()
    assert asked == ["cuda:1"]
    assert "read before cuda:1 is done" in caplog.text
    assert drain_of("cpu") is None


def test_async_listeners_of_a_plain_step_within_a_running_loop_are_told_by_that_loop(tmp_path: Path) -> None:
    heard = list[tuple[str, object]]()

    async def listen(change: StateChange) -> None:
        await asyncio.sleep(0)
        heard.append((change.state, asyncio.get_running_loop()))

    async def main() -> object:
        used = trainer(tmp_path, [90.0], Clock())
        used.on_state_change(listen)
        with used:
            used.train_step_sync((1.0, 0.0))
        while len(heard) < 2:
            await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop = asyncio.run(asyncio.wait_for(main(), 10))
    assert heard == [("running", loop), ("stopped", loop)]


def test_an_async_listener_that_fails_within_a_running_loop_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def listen(_change: StateChange) -> None:
        raise ValueError("nobody listens")

    async def main() -> None:
        used = trainer(tmp_path, [90.0], Clock())
        used.on_state_change(listen)
        used.session.open()
        used.train_step_sync((1.0, 0.0))
        while "nobody listens" not in caplog.text:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert "a listener to state=running failed" in caplog.text
