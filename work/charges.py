"""What the energy of an attempt is charged with, and what the run says about that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from carbon_aware_trainer.records import Intensity
from schema import Run, Scalar

_LISTED = ("provider", "zone", "others")


class Grid(Protocol):
    """What knows the intensity of this worker's zone, without asking anybody."""

    reason: str | None

    def over(self, start: datetime, end: datetime) -> Intensity:
        """Return the mean of a span; ``reason`` then says why it is the year's average, where it is."""

    def keep_from(self, start: datetime) -> None:
        """Keep what is known from the beginning of an attempt on."""


class Yearly:
    """The year's average at all times."""

    reason: str | None = None

    def __init__(self, intensity: Intensity) -> None:
        self._intensity = intensity

    def over(self, start: datetime, end: datetime) -> Intensity:  # noqa: ARG002 - the same at all times
        """Return it."""
        return self._intensity

    def keep_from(self, start: datetime) -> None:
        """Keep nothing: it is the same at all times."""


class Charges:
    """Charges the parts of one attempt; its first part of a run names the zone and provider of the run.

    An epoch or extra that is charged with another provider's figure says so itself.
    """

    def __init__(
        self,
        grid: Grid,
        run: Run,
        *,
        describe: Callable[[dict[str, Scalar]], None],
        log: Callable[[str], None],
    ) -> None:
        self._grid = grid
        self._describe, self._log = describe, log
        named = {name: str(run.environment.get(f"intensity_{name}") or "") for name in _LISTED}
        self._provider = named["provider"] or None
        self._zones, self._others = _listed(named["zone"]), _listed(named["others"])
        self._has_warned = False

    def over(self, start: datetime, end: datetime) -> Intensity:
        """Return what a span is charged with."""
        found = self._grid.over(min(start, end), end)
        self._note(found)
        if (reason := self._grid.reason) is not None and not self._has_warned:
            self._has_warned = True
            self._log(f"CO2 is counted with the yearly average of {found.zone} for now: {reason}.")
        return found

    def provider_of(self, intensity: Intensity) -> str | None:
        """Return whose figure it is where that is not the run's own provider."""
        return None if intensity.provider == self._provider else intensity.provider

    def _note(self, found: Intensity) -> None:
        """Describe the run's zone and provider once, and what else it is charged with when that happens."""
        facts: dict[str, Scalar] = {}
        if self._provider is None:
            self._provider = found.provider
            facts |= {"intensity_provider": found.provider, "intensity_basis": found.kind}
            facts |= {"intensity_source": source_text(found)}
        elif found.provider not in (self._provider, *self._others):
            self._others.append(found.provider)
            facts["intensity_others"] = ", ".join(self._others)
        if found.zone not in self._zones and found.provider == self._provider:
            self._zones.append(found.zone)
            facts["intensity_zone"] = ", ".join(self._zones)
        if facts:
            self._describe(facts)


def _listed(names: str) -> list[str]:
    return [name for name in names.split(", ") if name]


def source_text(intensity: Intensity) -> str:
    """Say whose figures a run is charged with, for a person: the figure itself where there is but one."""
    if intensity.year is None:
        return f"{intensity.zone} {intensity.basis} ({intensity.provider})"
    return str(intensity)
