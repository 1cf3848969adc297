"""How long things took, counted in buckets, as ``observe`` of lib.lua keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schema import Spread

_START: Final = ("0.1", "0.5", "1", "2.5", "5", "10", "30", "60", "300", "900", "3600", "14400", "86400")
_EPOCH: Final = ("0.5", "1", "2.5", "5", "10", "30", "60", "120", "300", "600", "1800", "3600", "14400")
# Upper bounds in seconds, as texts: they are names of fields.
BOUNDS: Final[Mapping[str, tuple[str, ...]]] = {
    "start_seconds": _START,
    "epoch_seconds": _EPOCH,
    "simulated_epoch_seconds": _EPOCH,
}


def read_spread(name: str, counters: Mapping[str, str]) -> Spread:
    """Read how long one kind of thing took."""
    counted, buckets = 0, []
    for bound in (*BOUNDS[name], "inf"):
        counted += int(counters.get(f"{name}:{bound}", 0))
        buckets.append((float(bound), counted))
    return Spread(tuple(buckets), float(counters.get(f"{name}:sum", 0)))
