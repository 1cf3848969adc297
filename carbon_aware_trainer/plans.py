"""What a strategy is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Action = Literal["run", "wait"]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that may be moved in time.

    duration: of the work that is left. deadline: when it has to be done. resume_cost: what a pause adds to
    the work, for saving and starting again.
    """

    duration: timedelta
    deadline: datetime
    is_interruptible: bool = False
    is_running: bool = False
    resume_cost: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time to run in, and its mean intensity."""

    start: datetime
    end: datetime
    g_per_kwh: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to run now, and why, in a sentence."""

    at: datetime
    action: Action
    reason: str
    g_per_kwh: float | None = None
    """In force; None when unknown."""
    threshold_g_per_kwh: float | None = None
    """At or below which it runs; None for a strategy without one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When a job is to run, oldest first, and what that saves against starting at once.

    windows: without gaps where the job is not interruptible. Their ``g_per_kwh`` are expected, not known.
    """

    windows: tuple[Window, ...]
    g_per_kwh: float
    run_now_g_per_kwh: float
    reason: str

    @property
    def start(self) -> datetime:
        """When it starts."""
        return self.windows[0].start

    @property
    def end(self) -> datetime:
        """When it is done."""
        return self.windows[-1].end

    @property
    def saving(self) -> float:
        """The expected share of CO2 saved against starting at once, 0-1; 0 where that emits nothing."""
        return 1 - self.g_per_kwh / self.run_now_g_per_kwh if self.run_now_g_per_kwh > 0 else 0.0
