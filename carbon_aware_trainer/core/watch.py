"""Looks at regions again and again, in a thread or a task, and tells whoever wants to know."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from carbon_aware_trainer.core.telling import atell, tell
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers.provider import Provider
from carbon_aware_trainer.records import Intensity

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Update:
    """What a look at a region brought: an intensity, or why there is none."""

    region: str
    intensity: Intensity | None
    error: str | None = None


Callback = Callable[[Update], Awaitable[None] | None]


class Watch:
    """One look at each region every so many seconds. A provider or a callback that fails never ends it."""

    def __init__(self, provider: Provider, regions: Sequence[str], interval_s: float) -> None:
        """Take whom to ask, about what and how often."""
        self._provider, self._regions, self._interval_s = provider, tuple(regions), interval_s
        self.callbacks: list[Callback] = []
        self._latest: dict[str, Update] = {}
        self._is_over = threading.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def latest(self) -> Mapping[str, Update]:
        """What the last look at each region brought."""
        return dict(self._latest)

    def start(self) -> None:
        """Look from a thread of its own, in place of one that does already."""
        is_over = self._begin()
        threading.Thread(target=self._repeat, args=(is_over,), name="carbon-monitor", daemon=True).start()

    def stop(self) -> None:
        """Look no more. A question under way ends by itself, and nobody is told of its answer."""
        self._is_over.set()

    async def astart(self) -> None:
        """Look from a task of the running event loop, in place of one that does already."""
        await self.astop()
        self._begin()
        self._task = asyncio.create_task(self._arepeat(), name="carbon-monitor")

    async def astop(self) -> None:
        """Look no more, and wait for the task to end."""
        self._is_over.set()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def look(self) -> None:
        """Look at every region once; a callback that is async runs to its end in here, unless a loop does."""
        self._look(self._is_over)

    def _look(self, is_over: threading.Event) -> None:
        for region in self._regions:
            try:
                update = Update(region, self._provider.fetch_latest(region))
            except CarbonError as err:
                update = Update(region, None, str(err))
            for callback in self._keep(update, is_over):
                tell(partial(callback, update), _whom(update))

    async def alook(self) -> None:
        """Look at every region once, at all at the same time."""
        for update in await asyncio.gather(*(self._aask(region) for region in self._regions)):
            for callback in self._keep(update, self._is_over):
                await atell(partial(callback, update), _whom(update))

    async def _aask(self, region: str) -> Update:
        try:
            return Update(region, await self._provider.afetch_latest(region))
        except CarbonError as err:
            return Update(region, None, str(err))

    def _begin(self) -> threading.Event:
        """Return what ends the looks that begin now. Never used again: a thread that sleeps would go on."""
        self._is_over.set()
        self._is_over = threading.Event()
        return self._is_over

    def _repeat(self, is_over: threading.Event) -> None:
        while not is_over.is_set():
            self._look(is_over)
            is_over.wait(self._interval_s)

    async def _arepeat(self) -> None:
        while True:
            await self.alook()
            await asyncio.sleep(self._interval_s)

    def _keep(self, update: Update, is_over: threading.Event) -> list[Callback]:
        """Keep an update, and return whom to tell; nobody once it is over."""
        if is_over.is_set():
            return []
        self._latest[update.region] = update
        if update.error is not None:
            log.warning("no intensity region=%s: %s", update.region, update.error)
        return list(self.callbacks)


def _whom(update: Update) -> str:
    return f"a callback for region={update.region}"
