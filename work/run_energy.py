"""What is known about the energy of one attempt besides its epochs: idle power, shares, power over time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from carbon_aware_trainer.accounting import energy_kwh
from carbon_aware_trainer.energy import EnergyMonitor, read_ram_constant_w
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Reading
from schema import PowerPoint, Run, Scalar

FIRST_INTERVAL_S = 1.0
# Points are sent this many at a time; a run of fewer has none, so that short ones take no room.
POINTS_AT_ONCE = 5
# After a longer pause of the worker the time between is left out.
_MOST_BEHIND = 200

CODECARBON_FACT = "codecarbon_energy_kwh"
_CODECARBON_ATTEMPT = "codecarbon_attempt"  # the last one in the figure


class RunEnergy:
    """Tells the machine's sampler that a run is trained, and gathers what is recorded with the run.

    Nothing of it for a simulated run, which uses no energy of its own.
    """

    def __init__(self, sampler: EnergyMonitor, run: Run, *, pue: float) -> None:
        self._sampler, self._run, self._pue = sampler, run, pue
        self._is_measured = not run.simulated
        self._is_training = False
        self._started_ns = self._taken_ns = time.monotonic_ns()
        self._interval_s = FIRST_INTERVAL_S
        self._idle_power_w: Mapping[str, float] | None = None
        self._points: list[PowerPoint] = []
        self._has_sent = False

    def begin(self) -> dict[str, Scalar]:
        """Say that the run is trained from now on; return what is known before it."""
        if not self._is_measured:
            return {}
        self._started_ns = self._taken_ns = time.monotonic_ns()
        wanted = self._run.hyper_params.get("gpus")
        gpus = wanted if isinstance(wanted, int) else 1
        self._idle_power_w = self._sampler.idle_power_w(self._started_ns, gpus=gpus)
        self._sampler.begin(gpus=gpus)
        self._is_training = True
        return {
            "idle_power_w": None
            if self._idle_power_w is None
            else round(sum(self._idle_power_w.values()), 3),
            "ram_constant_w": read_ram_constant_w(),
            "pue": self._pue,
        }

    def end(self) -> dict[str, Scalar]:
        """Return what is known about the whole attempt; call it when training is over."""
        if not self._is_training:
            return {}
        end_ns = self._sampler.newest_ns() or self._started_ns
        reading = self._sampler.reading(self._started_ns, end_ns, timeout_s=0)
        return {
            "energy_shares": _describe_shares(reading),
            "energy_share": _overall_share(reading, self._idle_power_w or {}),
            **self._ask_codecarbon(time.monotonic_ns()),
        }

    def close(self) -> None:
        """Say that the run is trained no more."""
        if self._is_training:
            self._is_training = False
            self._sampler.end()

    def take_points(self, *, is_last: bool = False) -> list[PowerPoint]:
        """Return the points that are to be sent now."""
        if not self._is_training:
            return []
        self._advance(self._sampler.newest_ns() or 0)
        is_due = len(self._points) >= POINTS_AT_ONCE or (is_last and self._has_sent)
        if not is_due:
            return []
        points, self._points, self._has_sent = self._points, [], True
        return points

    @property
    def interval_s(self) -> float:
        """Of which time each point is the mean."""
        return self._interval_s

    def use_interval(self, interval_s: float) -> None:
        """Take the next points at the interval that the store wants."""
        self._interval_s = interval_s

    def _advance(self, newest_ns: int) -> None:
        step_ns = round(self._interval_s * 1e9)
        self._taken_ns = max(self._taken_ns, newest_ns - _MOST_BEHIND * step_ns)
        while newest_ns - self._taken_ns >= step_ns:
            start_ns, self._taken_ns = self._taken_ns, self._taken_ns + step_ns
            parts = self._sampler.reading(start_ns, self._taken_ns, timeout_s=0).by_source_j
            if parts:
                at = datetime.now(UTC) - timedelta(microseconds=(time.monotonic_ns() - self._taken_ns) / 1e3)
                power_w = {key: joules / self._interval_s for key, joules in parts.items()}
                self._points.append(PowerPoint(at=at, power_w=power_w))

    def _ask_codecarbon(self, end_ns: int) -> dict[str, Scalar]:
        """Return CodeCarbon's own figure for the machine, summed over the attempts."""
        facts, attempt = self._run.environment, self._run.attempt
        earlier = facts.get(CODECARBON_FACT) if attempt > 1 else 0.0
        try:
            # one that was killed recorded nothing: the figure is then of those before it alone
            if attempt > 1 and facts.get(_CODECARBON_ATTEMPT) != attempt - 1:
                raise MeterUnavailable("It is not known of an earlier attempt.")
            joules = self._sampler.codecarbon_j(self._started_ns, end_ns)
            if not isinstance(earlier, int | float):
                raise MeterUnavailable("It is not known of an earlier attempt.")
        except MeterUnavailable as error:
            return {CODECARBON_FACT: None, "codecarbon_reason": str(error), _CODECARBON_ATTEMPT: attempt}
        kwh = float(f"{earlier + energy_kwh(joules):.6g}")
        return {CODECARBON_FACT: kwh, _CODECARBON_ATTEMPT: attempt}


def _describe_shares(reading: Reading) -> str | None:
    """Return this worker's shares of what the machine used, such as ``cpu 96 %, gpu:0 100 %``."""
    shares = [
        f"{key} {part.share:.0%}".replace("%", " %")
        for key, part in reading.sources.items()
        if part.share is not None
    ]
    return ", ".join(shares) or None


def _overall_share(reading: Reading, idle_power_w: Mapping[str, float]) -> float | None:
    """Return the run's part of the idle power of its sources, of each its share; None when unknown.

    Where no idle power is known, it is the run's part of the energy that its sources gave.
    """
    parts = {key: part for key, part in reading.sources.items() if part.energy_j is not None}
    shares = {key: part.share or 0.0 for key, part in parts.items()}
    weights = {key: idle_power_w.get(key, 0.0) for key in parts}
    if not sum(weights.values()):
        weights = {key: (part.energy_j or 0.0) / part.share for key, part in parts.items() if part.share}
    whole = sum(weights.values())
    if whole <= 0 or idle_power_w.keys() - parts.keys():
        return None
    return round(sum(weight * shares[key] for key, weight in weights.items()) / whole, 4)
