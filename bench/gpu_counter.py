"""A GPU's energy counter against its power, integrated, over the same span."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.energy_ratios import Ratio
from bench.our_energy import open_gpu_both_ways
from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.errors import MeterUnavailable

# 20 Hz: twice as often as the driver renews the power.
INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class GpuSpan:
    """Joules of one span by both ways."""

    counter_j: float
    power_j: float
    span_s: float

    @property
    def power_over_counter(self) -> Ratio:
        """Integrated power over the counter."""
        if self.counter_j <= 0:
            return Ratio(reason="The counter did not move.")
        return Ratio(self.power_j / self.counter_j)


def read_both_ways(
    nvml: Any,
    index: int,
    wait: Callable[[float], bool],
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = time.monotonic_ns,
) -> GpuSpan:
    """Read ``cuda:<index>`` both ways until ``wait`` says that the load is over.

    wait: waits at most so many seconds and returns True when the load is over. nvml: a module like pynvml.
    Raises MeterUnavailable when there is no such GPU, one way is missing, or a part of the span was lost.
    """
    meters = open_gpu_both_ways(nvml, index, environ=environ, clock=clock)
    try:
        start_ns = clock()
        is_over = False
        while not is_over:
            is_over = wait(INTERVAL_S)
            power = meters.power.read()
            _check(power.lost)
        counter = meters.counter.read()
        _check(counter.lost)
        return GpuSpan(counter.joules["gpu"], power.joules["gpu"], (clock() - start_ns) / 1e9)
    finally:
        meters.counter.close()
        meters.power.close()


def _check(lost: Mapping[str, str]) -> None:
    if lost:
        raise MeterUnavailable(" ".join(lost.values()))
