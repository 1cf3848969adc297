"""Providers of other packages: whatever goes wrong in one is an answer that cannot be used, and no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar, cast

from carbon_aware_trainer.errors import AnswerRefused, CarbonError, IntensityUnavailable
from carbon_aware_trainer.plugins import PROVIDERS, load_plugins
from carbon_aware_trainer.providers.adapter import Adapter
from carbon_aware_trainer.providers.exchange import Exchange, WouldBlock
from carbon_aware_trainer.records import EnergyMix, Intensity
from carbon_aware_trainer.traces import Forecast, Trace

T = TypeVar("T")
Setup = TypeVar("Setup")


def list_foreign() -> list[str]:
    """Return the names of the carbon models that other packages bring along, also of broken ones."""
    plugins = load_plugins(PROVIDERS)
    return sorted({*plugins.found, *plugins.broken})


def open_foreign(model: str, setup: Setup) -> Adapter:
    """Open the adapter of another package. Raises IntensityUnavailable where it does not work."""
    plugins = load_plugins(PROVIDERS)
    if model in plugins.broken:
        raise IntensityUnavailable(f"The provider {model} is installed but broken: {plugins.broken[model]}")
    opened = cast("Callable[[Setup], Adapter]", plugins.found[model])
    try:
        return ForeignAdapter(opened(setup), model)
    except CarbonError:
        raise
    except Exception as error:
        text = f"The provider {model} does not open: {type(error).__name__}: {error}"
        raise IntensityUnavailable(text) from error


class ForeignAdapter:
    """Asks an adapter of another package, and explains whatever it raises."""

    def __init__(self, adapter: Adapter, name: str) -> None:
        self._adapter = adapter
        # Under its own name its answers are kept and its figures are labelled.
        self.name, self.basis = name, adapter.basis

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when it does not have that zone."""
        try:
            self._adapter.check_zone(zone)
        except CarbonError:
            raise
        except Exception as error:
            raise self._refusal(error) from error

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the intensity in force now."""
        return self._guarded(lambda: self._adapter.latest(zone))

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return what was recorded for the slots that begin in [start, end)."""
        return self._guarded(lambda: self._adapter.history(zone, start, end))

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return its own forecast."""
        return self._guarded(lambda: self._adapter.forecast(zone, horizon))

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Return what the electricity is made from."""
        return self._guarded(lambda: self._adapter.mix(zone))

    def _guarded(self, asked: Callable[[], Exchange[T]]) -> Exchange[T]:
        try:
            return (yield from asked())
        except (CarbonError, WouldBlock):
            raise
        except Exception as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> AnswerRefused:
        return AnswerRefused(f"The provider {self.name} failed: {type(error).__name__}: {error}")
