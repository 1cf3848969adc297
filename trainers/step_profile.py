"""Where the time of a step goes: data, forward, backward, optimizer; over some steps of the first epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import torch

from schema import Scalar
from trainers.training import Training, unmarked

PHASES: Final = ("data", "forward", "backward", "optimizer")
# The first steps choose kernels and fill the allocator.
WARM_UP_STEPS, PROFILED_STEPS = 5, 20
_MOMENTS = len(PHASES) + 1


class StepProfile:
    """Notes the phases of up to 20 steps of ``training``, from the sixth on, or earlier in a short epoch.

    A moment is a reading of the clock, or on a GPU an event in its stream: no sync, and no bit changes.
    """

    def __init__(self, training: Training, *, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._training = training
        is_gpu = training.device.type == "cuda"
        self._now: Callable[[], Any] = partial(_record_event, training.device) if is_gpu else clock
        self._between_ms: Callable[[Any, Any], float] = _between_events_ms if is_gpu else _between_ns_ms
        # An epoch of one step is all warm-up.
        self._skipped = min(WARM_UP_STEPS, max(1, training.steps_per_epoch // 3))
        self._moments: list[Any] = []
        training.mark = self._mark

    def end(self) -> Mapping[str, Scalar]:
        """Stop, after a sync, and return each phase's mean milliseconds; empty when there was no step."""
        self._training.mark = unmarked
        steps = [
            self._moments[start : start + _MOMENTS]
            for start in range(self._skipped * _MOMENTS, len(self._moments) - _MOMENTS + 1, _MOMENTS)
        ]
        if not steps:
            return {}
        means: dict[str, Scalar] = {
            f"step_{phase}_ms": _mean(self._between_ms(step[place], step[place + 1]) for step in steps)
            for place, phase in enumerate(PHASES)
        }
        return {**means, "profiled_steps": len(steps)}

    def _mark(self) -> None:
        if len(self._moments) < (self._skipped + PROFILED_STEPS) * _MOMENTS:
            self._moments.append(self._now())


def _record_event(device: torch.device) -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    # Not the current device's stream, which is the first one's unless somebody says otherwise.
    event.record(torch.cuda.current_stream(device))
    return event


def _between_events_ms(start: torch.cuda.Event, end: torch.cuda.Event) -> float:
    elapsed_ms: float = start.elapsed_time(end)
    return elapsed_ms


def _between_ns_ms(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / 1e6


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return round(sum(listed) / len(listed), 4)
