"""Energy meters: cumulative joules, measured where possible, else estimated, never 0 for unknown."""

from carbon_aware_trainer.energy.choose import choose_meter
from carbon_aware_trainer.energy.meter import CompositeMeter, Meter, UnavailableMeter
from carbon_aware_trainer.energy.sampler import PowerSampler

__all__ = ["CompositeMeter", "Meter", "PowerSampler", "UnavailableMeter", "choose_meter"]
