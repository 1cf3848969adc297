"""What a command line asks for, with what the environment adds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from carbon_aware_trainer.core.clock import Clock
from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers.cached import Cached
from carbon_aware_trainer.providers.choose import open_provider


@dataclass(frozen=True, slots=True)
class Asked:
    """Zones, whom to ask about them, and the command's own options."""

    zones: tuple[str, ...]
    model: str | None
    api_key: str | None
    options: argparse.Namespace
    clock: Clock

    @classmethod
    def of(cls, parsed: argparse.Namespace, environ: Mapping[str, str], clock: Clock) -> Asked:
        """Take the command line, and the environment where it says nothing."""
        file = getattr(parsed, "file", None) or environ.get("WATTLE_CARBON_FILE")
        model = (
            getattr(parsed, "model", None)
            or environ.get("WATTLE_CARBON_MODEL")
            or ("cached" if file else None)
        )
        if model is not None and model.strip().lower() == Cached.name:
            key = str(file) if file else None  # never the key in its place: errors show a path
        else:
            key = getattr(parsed, "api_key", None) or environ.get("WATTLE_CARBON_API_KEY")
        zone = environ.get("WATTLE_ZONE")
        zones = tuple(parsed.zone or ([zone] if zone else []))
        return cls(zones, model, key, parsed, clock)

    @property
    def zone(self) -> str:
        """The first of the zones. Raises CarbonError without any."""
        if not self.zones:
            raise CarbonError("Name a zone: --zone US-CA, or set WATTLE_ZONE.")
        return self.zones[0]

    def monitor(self) -> CarbonMonitor:
        """Return a monitor of the zones."""
        regions = [self.zone, *self.zones[1:]]
        if self.model is None:
            return CarbonMonitor(regions, api_key=self.api_key, now=self.clock.now)
        if self.api_key is None and self.model.strip().lower() == Cached.name:
            raise CarbonError(
                "The model cached needs a file or folder of intensities: --file, or set WATTLE_CARBON_FILE."
            )
        provider = open_provider(self.model, api_key=self.api_key, now=self.clock.now)
        return CarbonMonitor(regions, provider=provider, now=self.clock.now)
