"""What a training's energy is read from."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, Protocol

from carbon_aware_trainer.records import Reading

if TYPE_CHECKING:
    from carbon_aware_trainer.energy import EnergyMonitor

FIRST_SAMPLE_S = 5.0
Choice = Literal["auto", "nvml", "rapl", "estimate", "codecarbon"]


class Gauge(Protocol):
    """Reads what this program used between two moments; unknown is said with a reason, never by 0."""

    def start(self) -> None:
        """Begin to measure."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        """Return what was used between two moments of ``time.monotonic_ns()``. Never raises."""

    def stop(self) -> None:
        """Measure no more."""


class MachineGauge:
    """This program's part of its machine, from the sampler that all trainings on the machine share."""

    def __init__(self, monitor: EnergyMonitor, gpus: int = 1) -> None:
        """Take the monitor, which is not started yet, and how many GPUs from its own one on are used."""
        self._monitor, self._gpus = monitor, gpus

    def start(self) -> None:
        """Begin to measure, and wait for the first sample: what is used before it is not known."""
        self._monitor.start()
        self._monitor.begin(gpus=self._gpus)
        now_ns = time.monotonic_ns()
        self._monitor.reading(now_ns - 1, now_ns, timeout_s=FIRST_SAMPLE_S)

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        """Return what was used between two moments."""
        return self._monitor.reading(start_ns, end_ns)

    def stop(self) -> None:
        """Measure no more."""
        self._monitor.end()
        self._monitor.stop()


class NoGauge:
    """Knows nothing, and why."""

    def __init__(self, reason: str) -> None:
        """Take the reason."""
        self._reason = reason

    def start(self) -> None:
        """Do nothing."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        """Return that it is not known."""
        return Reading((end_ns - start_ns) / 1e9, reason=self._reason)

    def stop(self) -> None:
        """Do nothing."""


def open_gauge(device: str, choice: Choice = "auto", *, gpus: int = 1) -> Gauge:
    """Return the gauge of this program on so many GPUs from a device on; without psutil it knows nothing."""
    try:
        from carbon_aware_trainer.energy import EnergyMonitor, MeterOptions
    except ModuleNotFoundError as err:
        if err.name != "psutil":
            raise
        return NoGauge("The energy needs psutil. Run: pip install wattle")
    return MachineGauge(EnergyMonitor(MeterOptions(device=device, choice=choice)), gpus)
