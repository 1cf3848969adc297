"""When and where runs that follow the grid are to run, planned again as the grid goes on."""

from scheduling.in_force import InForce, yearly_intensity
from scheduling.intensities import Intensities, Outlook, open_intensities
from scheduling.planner import Planner
from scheduling.ports import Store
from scheduling.rounds import Rounds
from settings import Settings

__all__ = [
    "InForce",
    "Intensities",
    "Outlook",
    "Planner",
    "Rounds",
    "open_intensities",
    "open_rounds",
    "yearly_intensity",
]


def open_rounds(settings: Settings, store: Store) -> Rounds:
    """Open what a program plans with. Raises InvalidInput, naming the setting that is wrong."""
    intensities = open_intensities(settings, store.intensities, store.cache)
    return Rounds(store, Planner(store, settings, intensities), intensities)
