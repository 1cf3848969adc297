"""Steps that take time, told apart from who takes them: this thread, or a task of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from carbon_aware_trainer.core.clock import Clock
from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.core.telling import atell, tell
from carbon_aware_trainer.driving import adrive, drive
from carbon_aware_trainer.providers.patience import Budget, within

T = TypeVar("T")
State = Literal["running", "paused", "stopped"]


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a training does from now on, and why, in a sentence."""

    state: State
    reason: str
    at: datetime
    intensity: float | None = None
    """In force, g/kWh; None when it is not known."""


Listener = Callable[[StateChange], Awaitable[object] | object]


@dataclass(frozen=True, slots=True)
class AskIntensity:
    """Ask for the intensity in force; the outcome is an Intensity. Raises IntensityUnavailable."""

    budget: Budget


@dataclass(frozen=True, slots=True)
class AskForecast:
    """Ask for a forecast; the outcome is one. Raises IntensityUnavailable."""

    hours: float
    budget: Budget


@dataclass(frozen=True, slots=True)
class AskHistory:
    """Ask for what was recorded; the outcome is a Trace. Raises IntensityUnavailable."""

    start: datetime
    end: datetime
    budget: Budget


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call what may block for a moment."""

    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell a listener; one that fails ends nothing."""

    listener: Listener
    change: StateChange


Question: TypeAlias = AskIntensity | AskForecast | AskHistory
Step: TypeAlias = Question | Sleep | Call | Tell
Steps: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes steps, either way."""

    monitor: CarbonMonitor
    clock: Clock

    def run(self, steps: Steps[T]) -> T:
        """Take every step in this thread and return the result."""
        return drive(steps, self._take)

    async def arun(self, steps: Steps[T]) -> T:
        """Take every step in this task and return the result."""
        return await adrive(steps, self._atake)

    def _take(self, step: Step) -> object:
        match step:
            case AskIntensity() | AskForecast() | AskHistory():
                with within(step.budget):
                    return self._ask(step)
            case Sleep():
                self.clock.sleep(step.wait_s)
                return None
            case Call():
                return step.call()
            case Tell():
                tell(partial(step.listener, step.change), _whom(step))
                return None

    def _ask(self, question: Question) -> object:
        match question:
            case AskIntensity():
                return self.monitor.get_current_intensity()
            case AskForecast():
                return self.monitor.get_forecast(hours=question.hours)
            case AskHistory():
                region = self.monitor.regions[0]
                return self.monitor.provider.fetch_history(region, question.start, question.end)

    async def _atake(self, step: Step) -> object:
        match step:
            case AskIntensity() | AskForecast() | AskHistory():
                with within(step.budget):
                    return await self._aask(step)
            case Sleep():
                await self.clock.asleep(step.wait_s)
                return None
            case Call():
                return await asyncio.to_thread(step.call)
            case Tell():
                await atell(partial(step.listener, step.change), _whom(step))
                return None

    async def _aask(self, question: Question) -> object:
        match question:
            case AskIntensity():
                return await self.monitor.aget_current_intensity()
            case AskForecast():
                return await self.monitor.aget_forecast(hours=question.hours)
            case AskHistory():
                region = self.monitor.regions[0]
                return await self.monitor.provider.afetch_history(region, question.start, question.end)


def _whom(step: Tell) -> str:
    return f"a listener to state={step.change.state}"
