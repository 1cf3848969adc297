"""The monitor as a context manager: a real thread, a real event loop."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.core.watch import Update
from carbon_aware_trainer.providers import write_sample


def opened(tmp_path: Path) -> CarbonMonitor:
    path = write_sample(tmp_path / "carbon.json", ["US-CA", "DE"], days=2, now=datetime.now(UTC))
    return CarbonMonitor(["US-CA", "DE"], update_interval=0.01, carbon_model="cached", api_key=str(path))


def test_a_thread_looks_again_and_again_until_the_block_ends(tmp_path: Path) -> None:
    watched, heard, is_enough = opened(tmp_path), list[Update](), threading.Event()

    async def callback(update: Update) -> None:
        heard.append(update)
        if len(heard) >= 6:
            is_enough.set()

    watched.add_callback(callback)
    with watched as monitor:
        assert monitor is watched
        assert is_enough.wait(30)
    assert {update.region for update in heard} == {"US-CA", "DE"}
    for thread in [thread for thread in threading.enumerate() if thread.name == "carbon-monitor"]:
        thread.join(30)
        assert not thread.is_alive()
    known = len(heard)
    watched.update()
    assert len(heard) == known, "nobody is told any more"


def test_a_task_looks_again_and_again_until_the_block_ends(tmp_path: Path) -> None:
    watched, heard = opened(tmp_path), list[Update]()

    async def main() -> int:
        is_enough = asyncio.Event()

        def callback(update: Update) -> None:
            heard.append(update)
            if len(heard) >= 6:
                is_enough.set()

        watched.add_callback(callback)
        async with watched:
            await asyncio.wait_for(is_enough.wait(), 30)
        return len([task for task in asyncio.all_tasks() if task.get_name() == "carbon-monitor"])

    assert asyncio.run(main()) == 0
    assert heard[0].intensity is not None


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "carbon-monitor"]


def test_a_watch_that_starts_again_leaves_one_thread(tmp_path: Path) -> None:
    watched = opened(tmp_path)
    before = watching()
    for _ in range(5):
        watched.__enter__()
        watched.__exit__()
    watched.__enter__()
    with watched:
        mine = [thread for thread in watching() if thread not in before]
        for thread in mine[:-1]:
            thread.join(30)
        assert [thread.is_alive() for thread in mine] == [False] * (len(mine) - 1) + [True]
    mine[-1].join(30)
    assert not mine[-1].is_alive()


def test_a_plain_callback_is_told_by_a_plain_update_within_a_running_loop(tmp_path: Path) -> None:
    watched, heard = opened(tmp_path), list[Update]()
    watched.add_callback(heard.append)

    async def main() -> None:
        watched.update()

    asyncio.run(main())
    assert [update.region for update in heard] == ["US-CA", "DE"]


def test_an_async_callback_is_told_after_a_plain_update_within_a_running_loop(tmp_path: Path) -> None:
    watched, heard = opened(tmp_path), list[str]()

    async def hear(update: Update) -> None:
        await asyncio.sleep(0)
        heard.append(update.region)

    async def main() -> None:
        watched.add_callback(hear)
        watched.update()
        while len(heard) < 2:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert heard == ["US-CA", "DE"]
