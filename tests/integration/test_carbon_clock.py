"""The real clock: sleeps that end early, in threads and tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from carbon_aware_trainer.core.clock import SystemClock
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer, TrainingConfig
from tests.carbon_parts import HOUR, SteadyGauge, Weight, distance, write_grid


def test_a_sleep_in_a_thread_ends_when_it_is_woken() -> None:
    clock, ended = SystemClock(), threading.Event()

    def sleep() -> None:
        clock.sleep(600)
        ended.set()

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    while not ended.is_set() and thread.is_alive():
        clock.wake()  # again and again: it may not be asleep yet
        ended.wait(0.01)
    thread.join(30)
    assert ended.is_set()


def test_a_sleep_in_a_task_ends_when_another_thread_wakes_it() -> None:
    clock = SystemClock()

    async def main() -> float:
        began = time.monotonic()
        task = asyncio.create_task(clock.asleep(600))
        await asyncio.sleep(0)  # lets it fall asleep
        threading.Thread(target=clock.wake).start()
        await asyncio.wait_for(task, 30)
        return time.monotonic() - began

    assert asyncio.run(main()) < 30


def test_a_sleep_ends_by_itself_and_leaves_nothing_behind() -> None:
    clock = SystemClock()
    clock.sleep(0.001)
    asyncio.run(clock.asleep(0.001))
    clock.wake()
    assert (clock._sleepers, clock._tasks) == (set(), set())


def test_it_tells_the_time_in_utc_and_counts_up() -> None:
    clock = SystemClock()
    assert str(clock.now().tzinfo) == "UTC"
    assert clock.monotonic_ns() <= time.monotonic_ns()


def test_an_event_loop_goes_on_while_a_training_waits_and_run_now_wakes_it(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    file = write_grid(tmp_path / "grid.json", [200.0] * 4, start=now - HOUR)
    model = Weight()
    used = CarbonAwareTrainer(
        model, model, distance, carbon_model="cached", region="US-CA", api_key=file, gauge=SteadyGauge(),
        config=TrainingConfig(carbon_threshold=100.0),
    )  # fmt: skip

    async def main() -> str:
        async with used:
            step = asyncio.create_task(used.train_step((1.0, 0.0)))
            while used.session.state != "paused":
                await asyncio.sleep(0)
            assert model.steps == 0
            await asyncio.sleep(0)  # it may not be asleep yet, but run_now holds for what follows
            used.run_now()
            await asyncio.wait_for(step, 30)
            return used.decisions[-1].reason

    assert asyncio.run(main()) == "Run now was asked for."
    assert model.steps == 1


def test_a_wake_just_before_a_sleep_is_not_lost() -> None:
    clock = SystemClock()
    clock.wake()
    sleeper = threading.Thread(target=clock.sleep, args=(3600,), daemon=True)
    sleeper.start()
    sleeper.join(30)
    assert not sleeper.is_alive()
    clock.wake()
    asyncio.run(asyncio.wait_for(clock.asleep(3600), 30))
