"""Meters of other packages: one that fails is unknown energy with the reason, and stops no sampler."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import cast

from carbon_aware_trainer.energy.meter import Clock, Meter
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.plugins import METERS, load_plugins
from carbon_aware_trainer.records import Counters, Source

log = logging.getLogger(__name__)


def list_foreign_meters() -> list[str]:
    """Return the names of the meters that other packages bring along, also of broken ones."""
    plugins = load_plugins(METERS)
    return sorted({*plugins.found, *plugins.broken})


def find_foreign(name: str, *, clock: Clock = time.monotonic_ns) -> Meter | None:
    """Open the meter of another package; None, and a line in the log, where it does not work."""
    plugins = load_plugins(METERS)
    reason = plugins.broken.get(name)
    if reason is None:
        try:
            return ForeignMeter(cast("Callable[[], Meter]", plugins.found[name])(), name, clock=clock)
        except Exception as error:  # noqa: BLE001 - a meter of somebody else: it may raise anything
            reason = f"{type(error).__name__}: {error}"
    log.warning("the meter of a plug-in is not used, another one is: name=%s reason=%s", name, reason)
    return None


class ForeignMeter:
    """Reads a meter of another package, and explains whatever it raises."""

    def __init__(self, meter: Meter, name: str, *, clock: Clock = time.monotonic_ns) -> None:
        self._meter = meter
        self._name = name
        self._clock = clock
        self.sources: tuple[Source, ...] = tuple(meter.sources)
        if not self.sources:
            raise MeterUnavailable("It has no source to read.")
        self._joules = {source.key: 0.0 for source in self.sources}
        self._failure: str | None = None

    def read(self) -> Counters:
        """Read every source; when the meter fails, what they used is unknown with the reason."""
        try:
            found = self._meter.read()
        except Exception as error:  # noqa: BLE001 - a meter of somebody else: it may raise anything
            self._failure = f"The meter {self._name} failed: {type(error).__name__}: {error}"
            return Counters(self._clock(), dict(self._joules), dict.fromkeys(self._joules, self._failure))
        self._joules |= {key: found.joules[key] for key in self._joules if key in found.joules}
        if self._failure is None:
            return found
        # What it counted while it could not be read belongs to no span that is known.
        lost, self._failure = dict.fromkeys(self._joules, self._failure), None
        return Counters(found.at_ns, found.joules, {**lost, **found.lost})

    def close(self) -> None:
        """Give the hardware back."""
        self._meter.close()
