"""Where carbon intensities come from.

``open_provider`` and what it needs are read when first used: a worker that only takes a country's average
needs neither httpx nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from carbon_aware_trainer.providers.static import country_intensity

if TYPE_CHECKING:
    from carbon_aware_trainer.providers.cache import Cache, ProcessCache
    from carbon_aware_trainer.providers.chain import Chain
    from carbon_aware_trainer.providers.choose import open_provider
    from carbon_aware_trainer.providers.patience import Patience
    from carbon_aware_trainer.providers.provider import Provider
    from carbon_aware_trainer.providers.sample import write_sample

_LATER = {
    "Cache": "cache",
    "Chain": "chain",
    "Patience": "patience",
    "ProcessCache": "cache",
    "Provider": "provider",
    "open_provider": "choose",
    "write_sample": "sample",
}
__all__ = [
    "Cache",
    "Chain",
    "Patience",
    "ProcessCache",
    "Provider",
    "country_intensity",
    "open_provider",
    "write_sample",
]


def __getattr__(name: str) -> object:
    """Read the module of a name that is not needed by everyone."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
