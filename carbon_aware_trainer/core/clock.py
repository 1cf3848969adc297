"""The time of day, a counter for durations, and waiting: an argument wherever a training waits."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime
from typing import Protocol

from carbon_aware_trainer.providers.asking import utc_now


class Clock(Protocol):
    """What tells the time and lets it pass."""

    def now(self) -> datetime:
        """Return the time of day, aware."""

    def monotonic_ns(self) -> int:
        """Return a counter that never goes back."""

    def sleep(self, wait_s: float) -> None:
        """Let time pass, or less of it after ``wake``; none when that came just before."""

    async def asleep(self, wait_s: float) -> None:
        """Let time pass without holding up the event loop, or less of it after ``wake``."""

    def wake(self) -> None:
        """End all sleeps under way, and the next one: who is woken may be about to sleep. From any thread."""


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        """Start with nobody asleep."""
        self._lock = threading.Lock()
        self._is_woken = True
        self._sleepers: set[threading.Event] = set()
        self._tasks: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return utc_now()

    def monotonic_ns(self) -> int:
        """Return a counter that never goes back; meters use the same."""
        return time.monotonic_ns()

    def sleep(self, wait_s: float) -> None:
        """Wait in this thread."""
        event = threading.Event()
        with self._lock:
            if self._take_wake():
                return
            self._sleepers.add(event)
        try:
            event.wait(wait_s)
        finally:
            with self._lock:
                self._sleepers.discard(event)

    async def asleep(self, wait_s: float) -> None:
        """Wait in this task."""
        sleeper = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self._take_wake():
                return
            self._tasks.add(sleeper)
        try:
            await asyncio.wait_for(sleeper[1].wait(), wait_s)
        except TimeoutError:
            return
        finally:
            with self._lock:
                self._tasks.discard(sleeper)

    def wake(self) -> None:
        """End all sleeps under way, and the next one."""
        with self._lock:
            self._is_woken = True
            for event in self._sleepers:
                event.set()
            for loop, awaited in self._tasks:
                loop.call_soon_threadsafe(awaited.set)

    def _take_wake(self) -> bool:
        was_woken, self._is_woken = self._is_woken, False
        return was_woken
