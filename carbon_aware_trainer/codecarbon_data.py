"""The data files that CodeCarbon ships: hardware powers and the electricity of countries.

CodeCarbon itself is not imported: that takes seconds and starts trackers of its own; its files are enough.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

CPU_POWERS = "data/hardware/cpu_power.csv"
COUNTRIES = "data/private_infra/global_energy_mix.json"


def find_codecarbon_file(path: str) -> Path | None:
    """Return where a file of the installed CodeCarbon is; None when it is not installed or lacks the file."""
    spec = importlib.util.find_spec("codecarbon")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        if (file := Path(folder) / path).is_file():
            return file
    return None


def codecarbon_name() -> str:
    """Name the installed CodeCarbon and its version, for a source line."""
    return f"CodeCarbon {version('codecarbon')}"
