"""How a prediction reads: a value, and below it the interval that holds nine times in ten."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from schema import Estimate, Prediction
from views import format as fmt


def prediction_tiles(predicted: Prediction) -> None:
    """Show predicted energy, CO₂ and duration side by side."""
    energy, co2, duration = st.columns(3)
    mark = " :orange-badge[estimated]" if predicted.energy_quality == "estimated" else ""
    _tile(energy, "Energy" + mark, energy_text(predicted.energy_kwh))
    _tile(co2, "CO₂", co2_text(predicted.co2_g))
    _tile(duration, "Duration", duration_text(predicted.duration_s))


def energy_text(estimate: Estimate | None) -> tuple[str, str]:
    """Return the value and its interval, in one unit."""
    return _texts(estimate, fmt.energy_unit([estimate.value if estimate else None]))


def co2_text(estimate: Estimate | None) -> tuple[str, str]:
    """Return the value and its interval, in one unit."""
    return _texts(estimate, fmt.co2_unit([estimate.value if estimate else None]))


def duration_text(estimate: Estimate | None) -> tuple[str, str]:
    """Return the value and its interval, in minutes and seconds."""
    if estimate is None:
        return fmt.MISSING, ""
    if estimate.low is None and estimate.high is None:
        return fmt.duration(estimate.value), "spread unknown"
    low, high = fmt.duration(estimate.low), fmt.duration(estimate.high)
    if estimate.high is None:
        return fmt.duration(estimate.value), f"at least {low}"
    return fmt.duration(estimate.value), low if low == high else f"{low} to {high}"


def summary(predicted: Prediction) -> str:
    """Say in one line what a running run will have taken in the end."""
    parts = []
    for name, (value, interval) in (
        ("energy", energy_text(predicted.energy_kwh)),
        ("CO₂", co2_text(predicted.co2_g)),
    ):
        if value != fmt.MISSING:
            parts.append(f"{name} **{value}**" + (f" ({interval})" if interval else ""))
    return "Whole run, predicted: " + " · ".join(parts) if parts else ""


def _texts(estimate: Estimate | None, unit: fmt.Unit) -> tuple[str, str]:
    if estimate is None:
        return fmt.MISSING, ""

    def shown(value: float) -> str:
        return fmt.significant(value * unit.factor)

    value = f"{shown(estimate.value)}\u00a0{unit.label}"
    if estimate.low is None and estimate.high is None:
        return value, "spread unknown"
    if estimate.high is None:
        return value, f"at least {shown(estimate.low or 0.0)}\u00a0{unit.label}"
    low, high = shown(estimate.low or 0.0), shown(estimate.high)
    return value, f"{low}\u00a0{unit.label}" if low == high else f"{low}–{high}\u00a0{unit.label}"


def _tile(column: DeltaGenerator, label: str, texts: tuple[str, str]) -> None:
    value, interval = texts
    column.metric(
        label,
        value,
        delta=interval or None,
        delta_color="off",
        delta_arrow="off",
        help="With its 90 % interval.",
    )
