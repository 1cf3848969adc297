"""Where carbon intensities come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbon_aware_trainer.later import find_later
from carbon_aware_trainer.providers.static import country_intensity

if TYPE_CHECKING:
    from carbon_aware_trainer.providers.cache import Cache, ProcessCache
    from carbon_aware_trainer.providers.chain import Chain
    from carbon_aware_trainer.providers.choose import open_provider
    from carbon_aware_trainer.providers.patience import Patience
    from carbon_aware_trainer.providers.provider import Provider
    from carbon_aware_trainer.providers.sample import write_sample

_LATER = {
    "Cache": f"{__name__}.cache",
    "Chain": f"{__name__}.chain",
    "Patience": f"{__name__}.patience",
    "ProcessCache": f"{__name__}.cache",
    "Provider": f"{__name__}.provider",
    "open_provider": f"{__name__}.choose",
    "write_sample": f"{__name__}.sample",
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
    """Read the module of a name that not everybody needs."""
    return find_later(__name__, _LATER, name)
