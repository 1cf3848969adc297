"""Where the points of a run's metric stand on an axis: by step, by time, or by what the run had used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schema import Series
from schema.metrics import CostName
from views.compare.smoothing import Smoothing, smooth

Axis = Literal["step", "time", "energy_kwh", "co2_g"]

COSTS: Final[Mapping[Axis, CostName]] = {"energy_kwh": "energy_kwh", "co2_g": "co2_g"}
_WORDS: Final[Mapping[Axis, str]] = {"time": "time", "energy_kwh": "energy", "co2_g": "CO₂"}


@dataclass(frozen=True)
class Curve:
    """Points of one metric of one run in the order of their axis; None among the values is a gap."""

    steps: Sequence[int]
    xs: Sequence[float]
    values: Sequence[float | None]
    smoothed: Sequence[float | None]
    asked: int
    """How many points there were; those without a place on the axis are left out."""


@dataclass(frozen=True)
class Scales:
    """Which axes are logarithmic; there, what is not above zero has no place."""

    log_x: bool = False
    log_y: bool = False


def place(own: Series, axis: Axis, start_s: float, how: Smoothing) -> Curve:
    """Return a metric's points on an axis, in the stored unit of it, and smoothed in that order."""
    values = [value if math.isfinite(value) else None for value in own.values]
    xs: Sequence[float | None]
    if axis == "step":
        xs = [float(step) for step in own.steps]
    elif axis == "time":
        xs = [None if time is None else time - start_s for time in own.times]
    else:
        xs = own.costs or [None] * len(values)
    known = [(x, step, value) for x, step, value in zip(xs, own.steps, values, strict=True) if x is not None]
    if axis != "step":
        # Steps may come in any order: a line goes through its points as time passes.
        known.sort(key=lambda point: point[0])
    shown = [value for _, _, value in known]
    return Curve(
        [step for _, step, _ in known], [x for x, _, _ in known], shown, smooth(shown, how), len(values)
    )


def cut(curve: Curve, scales: Scales) -> Curve:
    """Return what of a curve has a place on its scales."""
    kept = [at for at, x in enumerate(curve.xs) if x > 0 or not scales.log_x]

    def shown(values: Sequence[float | None]) -> list[float | None]:
        found = [values[at] for at in kept]
        return [None if scales.log_y and value is not None and value <= 0 else value for value in found]

    return Curve(
        [curve.steps[at] for at in kept],
        [curve.xs[at] for at in kept],
        shown(curve.values),
        shown(curve.smoothed),
        curve.asked,
    )


def left_out(curves: Mapping[str, Sequence[Curve]], labels: Mapping[str, str], axis: Axis) -> list[str]:
    """Say of which runs not all is on the axis. curves: those of each run."""
    if axis == "step":
        return []
    texts = []
    for run_id, own in curves.items():
        asked, shown = sum(curve.asked for curve in own), sum(len(curve.xs) for curve in own)
        if asked and not shown:
            texts.append(f"{labels[run_id]}: not drawn, its {_WORDS[axis]} is not known.")
        elif shown < asked:
            last = max(step for curve in own for step in curve.steps)
            texts.append(f"{labels[run_id]}: its {_WORDS[axis]} is known up to step {last} only.")
    return texts


def without_place(curves: Mapping[str, Sequence[Curve]], scales: Scales) -> int:
    """Return how many points a logarithmic scale has no place for."""
    return sum(
        (scales.log_x and x <= 0) or (scales.log_y and value is not None and value <= 0)
        for own in curves.values()
        for curve in own
        for x, value in zip(curve.xs, curve.values, strict=True)
    )
