"""What grew over a soak's day, from the end of its warm-up on: by least squares, and by level."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.soak_plan import HOURS, WARM_UP_HOURS

# Levels are medians over so many hours, at the end of the warm-up and at the end of the day.
LEVEL_HOURS: Final = 2
MOST_FRACTION: Final = 0.1
# Indexes and places of all runs, totals, sweeps; and what expires by itself, in minutes or in a day.
BY_DESIGN: Final = ("indexes", "archived", "for_a_day", "brought_back", "kept")
_ALL_OF_REDIS: Final = (
    *("store.used_mib", "store.dataset_mib", "store.keys", "store.runs", "store.archived", "store.aof_mib"),
    *("store.events", "keys.capped", "redis.rss_mib", "redis.pss_mib"),
)
# Descriptors and threads come and go with requests; a leak of one for each hour of the day is 18.
MOST_COUNT: Final = 2.0

Samples = Sequence[tuple[float, Mapping[str, float]]]


@dataclass(frozen=True)
class Growth:
    """How one quantity went from the end of the warm-up to the end of the day."""

    name: str
    first: float
    last: float
    by_least_squares: float

    @property
    def by_level(self) -> float:
        """How much higher the last level is."""
        return self.last - self.first

    @property
    def fraction(self) -> float:
        """The larger growth of the two, as a share of the first level; 0 for what was nothing and is."""
        most = max(self.by_level, self.by_least_squares)
        return most / self.first if self.first else float(most > 0)

    @property
    def count(self) -> float:
        """The growth that both ways see, in pieces: a peak at either end alone is none."""
        return max(0.0, min(self.by_level, self.by_least_squares))


def measure(samples: Samples, name: str, *, hour_s: float) -> Growth | None:
    """Return how a quantity grew; None where nothing is known of it at either end."""
    points = [(second / hour_s, found[name]) for second, found in samples if name in found]
    settled = [(hour, value) for hour, value in points if WARM_UP_HOURS <= hour <= HOURS]
    first = [value for hour, value in settled if hour < WARM_UP_HOURS + LEVEL_HOURS]
    last = [value for hour, value in settled if hour >= HOURS - LEVEL_HOURS]
    if not first or not last:
        return None
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope
    return Growth(name, statistics.median(first), statistics.median(last), slope * (HOURS - WARM_UP_HOURS))


def measure_all(samples: Samples, *, hour_s: float) -> dict[str, Growth]:
    """Return how each quantity grew."""
    names = {name: None for _, found in samples for name in found}
    measured = (measure(samples, name, hour_s=hour_s) for name in names)
    return {growth.name: growth for growth in measured if growth is not None}


def is_flat(growth: Growth) -> bool:
    """Whether a quantity has stayed what it was: memory within a tenth, pieces within two."""
    if growth.name.endswith("_mib"):
        return growth.fraction <= MOST_FRACTION
    return growth.count <= MOST_COUNT


def is_by_design(name: str) -> bool:
    """Whether a quantity grows with the runs there ever were, or for a fixed time that this is no part of."""
    what, _, rest = name.partition(".")
    if what == "disk" or name in _ALL_OF_REDIS:
        return True
    return what in ("keys", "bytes") and rest.partition(".")[0].removesuffix("_mib") in BY_DESIGN


def print_hours(samples: Samples, names: Sequence[str], *, hour_s: float) -> None:
    """Print a table with the last sample of each hour."""
    print("hour " + " ".join(f"{name[-14:]:>14}" for name in names))
    for hour in range(HOURS):
        found: dict[str, float] = {}
        for second, values in samples:
            if hour <= second / hour_s < hour + 1:
                found |= values
        cells = (f"{found[name]:14.1f}" if name in found else f"{'':14}" for name in names)
        print(f"{hour + 1:4} " + " ".join(cells))


def print_growths(growths: Mapping[str, Growth], after: Mapping[str, float]) -> None:
    """Print what each quantity was, is, and how it grew, and what is left once everybody has gone."""
    print(
        f"\n{'from hour 6 to 24':32} {'first':>10} {'last':>10} {'by level':>10} {'by fit':>10} {'after':>10}"
    )
    for name, growth in growths.items():
        verdict = "flat" if is_flat(growth) else "grew, by design" if is_by_design(name) else "GREW"
        left = f"{after[name]:10.1f}" if name in after else " " * 10
        numbers = f"{growth.first:10.1f} {growth.last:10.1f} {growth.by_level:10.2f}"
        print(f"{name:32} {numbers} {growth.by_least_squares:10.2f} {left}  {verdict}")
