"""Energy and CO₂ of epochs, by what ``carbon_aware_trainer`` reads and knows."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from carbon_aware_trainer import CarbonError, energy_kwh
from carbon_aware_trainer.core.gauge import Gauge, open_gauge

log = logging.getLogger(__name__)

# As in a worker without WATTLE_COUNTRY, so that runs can be compared.
_DEFAULT_COUNTRY: Final = "USA"
_NS: Final = 1e9
_MORE_TRIES: Final = 4

Take = Callable[[Mapping[str, float], int], object]


class EpochEnergy:
    """Reads what was used between the ends of epochs, in a thread; what is unknown is said, never 0."""

    def __init__(
        self,
        take: Take,
        *,
        device: str,
        say: Callable[[str], object],
        gauge: Gauge | None = None,
        intensity: Callable[[], float] | None = None,
    ) -> None:
        """Begin to measure; the first sample is waited for, a second or less.

        take: gets energy_kwh, co2_g and duration_s of an epoch. say: gets what the user should know.
        gauge, intensity: instead of the device's meter, and of the present g/kWh here.
        """
        self._take, self._say = take, say
        self._gauge = open_gauge(device) if gauge is None else gauge
        self._intensity = open_intensity() if intensity is None else intensity
        self._marks: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._said: set[str] = set()
        self._gauge.start()
        self._since_ns = time.monotonic_ns()
        self.quality = self._gauge.reading(self._since_ns - 1, self._since_ns).quality
        """Whether it is measured or estimated; None when it is unknown."""
        self._thread = threading.Thread(target=self._read_all, name="training_monitor energy", daemon=True)
        self._thread.start()

    def end_epoch(self, epoch: int) -> None:
        """Say that an epoch has just ended."""
        self._marks.put((epoch, time.monotonic_ns()))

    def close(self, timeout_s: float = 10.0) -> None:
        """Read the epochs that have ended, and measure no more."""
        self._marks.put(None)
        self._thread.join(timeout_s)

    def _read_all(self) -> None:
        try:
            while (mark := self._marks.get()) is not None:
                epoch, now_ns = mark
                self._take(self._measure(self._since_ns, now_ns), epoch)
                self._since_ns = now_ns
            self._gauge.stop()
        except Exception as error:  # noqa: BLE001 the outer edge: a strange meter must not end a training
            log.warning("No more energy is measured: %s", error)

    def _measure(self, start_ns: int, end_ns: int) -> dict[str, float]:
        reading = self._gauge.reading(start_ns, end_ns)
        # A busy machine's sampler answers late, and nobody waits for this thread.
        for _ in range(_MORE_TRIES):
            if reading.energy_j is not None:
                break
            reading = self._gauge.reading(start_ns, end_ns)
        found = {"duration_s": (end_ns - start_ns) / _NS}
        if reading.energy_j is None:
            self._say_once(f"The energy is unknown: {reading.reason}")
            return found
        found["energy_kwh"] = energy_kwh(reading.energy_j)
        try:
            found["co2_g"] = found["energy_kwh"] * self._intensity()
        except CarbonError as error:
            self._say_once(f"The CO₂ is unknown: {error}")
        return found

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def open_intensity(environ: Mapping[str, str] = os.environ) -> Callable[[], float]:
    """Return what tells the present g/kWh of WATTLE_ZONE or WATTLE_COUNTRY, by WATTLE_CARBON_MODEL.

    It raises CarbonError when that is not known.
    """
    region = environ.get("WATTLE_ZONE") or environ.get("WATTLE_COUNTRY") or _DEFAULT_COUNTRY
    monitor: list[Any] = []

    def read() -> float:
        from carbon_aware_trainer import CarbonMonitor, open_provider  # wants NumPy

        if not monitor:
            provider = open_provider(
                environ.get("WATTLE_CARBON_MODEL") or "static",
                region=region,
                api_key=environ.get("WATTLE_CARBON_API_KEY") or environ.get("WATTLE_CARBON_FILE"),
            )
            monitor.append(CarbonMonitor([region], provider=provider))
        return float(monitor[0].get_current_intensity().g_per_kwh)

    return read
