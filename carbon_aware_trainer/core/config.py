"""What a training does about carbon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.strategies.threshold import DEFAULT_PERCENTILE
from carbon_aware_trainer.traces import HOUR

Policy = Literal["threshold", "adaptive", "run now"]
# Between where it starts and where it pauses, when only one of them is given.
BAND = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """When to wait. Thresholds are in gCO2eq/kWh; each that is not given follows from the others.

    carbon_threshold: at or below it the training starts. pause_threshold: above it a running one pauses.
    resume_threshold: at or below it a paused one goes on. Without any: ``percentile`` of the zone's own past.
    max_pause_hours: of all pauses together, the wait for the start among them; None for no limit.
    duration_hours: of the whole training, which ``deadline`` and the policy adaptive need to know.
    interruptible: False waits for the start only. resume_cost_hours: what a pause adds to the work.
    check_interval: seconds between two looks at the grid.
    device: whose energy is measured; None for that of the model. meter: see docs/methods.md.
    Raises CarbonError for what contradicts itself.
    """

    carbon_threshold: float | None = None
    pause_threshold: float | None = None
    resume_threshold: float | None = None
    percentile: float = DEFAULT_PERCENTILE
    policy: Policy = "threshold"
    max_pause_hours: float | None = 24.0
    duration_hours: float | None = None
    deadline: datetime | None = None
    interruptible: bool = True
    resume_cost_hours: float = 0.0
    check_interval: float = 300.0
    device: str | None = None
    meter: Literal["auto", "nvml", "rapl", "estimate", "codecarbon"] = "auto"

    def __post_init__(self) -> None:
        """Check that it makes sense."""
        for complaint, is_wrong in self._complaints().items():
            if is_wrong:
                raise CarbonError(complaint)

    @property
    def has_threshold(self) -> bool:
        """Whether any threshold is given."""
        return self.start_g_per_kwh is not None

    @property
    def start_g_per_kwh(self) -> float | None:
        """At or below which it starts; None without any threshold."""
        if self.carbon_threshold is not None:
            return self.carbon_threshold
        return self.resume_threshold if self.pause_threshold is None else self.pause_threshold

    @property
    def pause_g_per_kwh(self) -> float | None:
        """Above which it pauses."""
        start = self.start_g_per_kwh
        if self.pause_threshold is not None or start is None:
            return self.pause_threshold
        return start * (1 + BAND)

    @property
    def resume_g_per_kwh(self) -> float | None:
        """At or below which it goes on."""
        start, pause = self.start_g_per_kwh, self.pause_g_per_kwh
        if self.resume_threshold is not None or start is None or pause is None:
            return self.resume_threshold
        return min(start, pause / (1 + BAND))

    @property
    def duration(self) -> timedelta:
        """The expected length of the training; 0 when it is not given."""
        return (self.duration_hours or 0.0) * HOUR

    @property
    def max_pause(self) -> timedelta | None:
        """The limit to all pauses."""
        return None if self.max_pause_hours is None else self.max_pause_hours * HOUR

    def _complaints(self) -> dict[str, bool]:
        start, pause, resume = self.start_g_per_kwh, self.pause_g_per_kwh, self.resume_g_per_kwh
        given = (self.carbon_threshold, self.pause_threshold, self.resume_threshold)
        amounts = (self.max_pause_hours, self.duration_hours, self.resume_cost_hours)
        at_most = f"above {pause} g/kWh. Set it to at most pause_threshold."
        deadline = self.deadline
        return {
            f"The policy {self.policy!r} does not exist. Use one of {', '.join(get_args(Policy))}.": (
                self.policy not in get_args(Policy)
            ),
            "Set thresholds of 0 g/kWh or more.": any(_is_below_0(value) for value in given),
            f"A carbon_threshold of {start} would start and pause at once, {at_most}": _is_above(
                start, pause
            ),
            f"A resume_threshold of {resume} would resume and pause at once, {at_most}": _is_above(
                resume, pause
            ),
            "Set a percentile from 0 to 100.": not 0 <= self.percentile <= 100,
            "Set hours of 0 or more.": any(_is_below_0(value) for value in amounts),
            "Set a check_interval above 0, in seconds.": not self.check_interval > 0,
            "Give the deadline with its offset, such as datetime(…, tzinfo=UTC).": (
                deadline is not None and deadline.tzinfo is None
            ),
            "A deadline needs duration_hours, to know when it is too late to wait.": (
                deadline is not None and self.duration_hours is None
            ),
            "The policy adaptive needs duration_hours and a deadline.": (
                self.policy == "adaptive" and deadline is None
            ),
        }


def _is_below_0(value: float | None) -> bool:
    return value is not None and not value >= 0


def _is_above(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and not value <= limit
