"""Which exporters there are: our own, and those of the entry-point group ``wattle.exporters``."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Final, cast

from carbon_aware_trainer.plugins import load_plugins
from errors import InvalidInput
from exporters.protocol import Exporter, OpenExporter
from settings import Settings

GROUP: Final = "wattle.exporters"
# Imported when they are opened: MLflow and W&B take a second each.
_OWN: Final = {
    "file": "exporters.file:FileExporter",
    "mlflow": "exporters.mlflow:MlflowExporter",
    "wandb": "exporters.wandb:WandbExporter",
}


def list_known() -> list[str]:
    """Return the names of all exporters that can be opened."""
    return sorted({*_OWN, *load_plugins(GROUP).found})


def list_broken() -> Mapping[str, str]:
    """Return why an installed exporter does not work, by name."""
    return load_plugins(GROUP).broken


def open_exporter(name: str, settings: Settings) -> Exporter:
    """Open an exporter. Raises InvalidInput where there is none of that name, and whatever it raises."""
    if name in _OWN:
        module, _, attribute = _OWN[name].partition(":")
        return cast("OpenExporter", getattr(importlib.import_module(module), attribute))(settings)
    plugins = load_plugins(GROUP)
    if name in plugins.broken:
        raise InvalidInput(f"The exporter {name} is installed but does not work: {plugins.broken[name]}")
    if name not in plugins.found:
        near = difflib.get_close_matches(name, list_known(), n=2) or list_known()
        raise InvalidInput(
            f"WATTLE_EXPORTERS: there is no exporter {name[:64]!r}. Use {' or '.join(near)}, or install it."
        )
    return cast("OpenExporter", plugins.found[name])(settings)
