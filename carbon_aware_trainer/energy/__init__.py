"""Energy meters: cumulative joules by source, measured or estimated, and never 0 for unknown."""

from carbon_aware_trainer.energy.choose import Choice, choose_meters
from carbon_aware_trainer.energy.memory import read_ram_constant_w
from carbon_aware_trainer.energy.meter import Meter
from carbon_aware_trainer.energy.monitor import EnergyMonitor, MeterOptions, default_folder
from carbon_aware_trainer.energy.nvml import list_visible_gpus
from carbon_aware_trainer.energy.own_meter import OwnMeter, check_meters, choose_meter

__all__ = [
    "Choice",
    "EnergyMonitor",
    "Meter",
    "MeterOptions",
    "OwnMeter",
    "check_meters",
    "choose_meter",
    "choose_meters",
    "default_folder",
    "list_visible_gpus",
    "read_ram_constant_w",
]
