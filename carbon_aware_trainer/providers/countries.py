"""Every country's yearly average as a provider. See ``static`` for the figures."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.adapter import no_forecast
from carbon_aware_trainer.providers.exchange import Exchange, block
from carbon_aware_trainer.providers.static import country_intensity, country_mix
from carbon_aware_trainer.providers.zones import code_at
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace


class Countries:
    """The average of the country that a zone is in; it is the same at every hour."""

    name = "static"
    basis: Basis = "average lifecycle"

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when there is no figure of its country."""
        code_at(self.name, zone)

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the average of the last year that is known."""
        value = yield from block(partial(country_intensity, code_at(self.name, zone)))
        return replace(value, zone=zone, source=f"{value.source}, of {value.zone}")

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return the average for every hour."""
        value = yield from self.latest(zone)
        first = points.floor(start, HOUR)
        values = np.full(max(0, math.ceil((end - first) / HOUR)), value.g_per_kwh)
        return Trace(zone, self.name, self.basis, first, HOUR, values)

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:  # noqa: ARG002 like the others
        """Raise ForecastUnavailable: a yearly average says nothing of one hour against another."""
        yield from ()
        raise no_forecast(self.name, zone, "it is one figure for a whole year. Use a provider with hours.")

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Return the mix of the last year that is known."""
        mix = yield from block(partial(country_mix, code_at(self.name, zone)))
        return replace(mix, zone=zone)
