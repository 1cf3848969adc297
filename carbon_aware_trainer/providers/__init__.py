"""Where carbon intensities come from."""

from carbon_aware_trainer.providers.static import country_intensity

__all__ = ["country_intensity"]
