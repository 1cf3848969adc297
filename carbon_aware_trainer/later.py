"""Names of a package whose modules are read when they are first used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from carbon_aware_trainer.errors import ExtraMissing

# What an extra brings, where a name cannot do without.
_EXTRAS = {"httpx": "carbon", "numpy": "carbon"}


def find_later(package: str, names: Mapping[str, str], name: str) -> object:
    """Return ``name`` from the module that ``names`` gives for it, as a package's ``__getattr__`` has to.

    A worker that only takes a country's average, or a training that only logs, needs neither httpx nor numpy.
    Raises AttributeError for a name that is not there, ExtraMissing when what it needs is not installed.
    """
    if name not in names:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    try:
        found: object = getattr(import_module(names[name]), name)
    except ModuleNotFoundError as err:
        if err.name not in _EXTRAS:
            raise
        extra = _EXTRAS[err.name]
        raise ExtraMissing(f'{name} needs {err.name}. Run: pip install "wattle[{extra}]"') from err
    return found
