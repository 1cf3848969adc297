"""A run's carbon plan in words and figures: in the review of a submission, and on the run's page."""

from __future__ import annotations

import streamlit as st

from schema import CarbonPlan
from views import format as fmt
from views import parts


def show_plan(plan: CarbonPlan, *, name: str) -> None:
    """Show when and where it runs, what that emits against running at once, and why."""
    expected, delta = fmt.co2(plan.expected_co2_g), saving_text(plan.saving)
    if plan.expected_co2_g is None and plan.g_per_kwh is not None:
        expected = f"{plan.g_per_kwh:.0f}\u00a0g/kWh"
    at_once = fmt.co2(plan.run_now_co2_g)
    if plan.run_now_co2_g is None and plan.run_now_g_per_kwh is not None:
        at_once = f"{plan.run_now_g_per_kwh:.0f}\u00a0g/kWh"
    zone = f" in {fmt.plain(plan.zone)}" if plan.zone else ""
    figures = (
        (f"Starts{zone}", start_text(plan), None, "Your own time zone."),
        ("Expected", expected, delta, "CO₂, or the mean of its hours while its energy is unknown."),
        ("Run at once", at_once, None, "What it would emit, started when this was planned."),
        ("Done by", parts.near_time(plan.deadline), None, "At the latest, however dirty the grid is."),
    )  # fmt: skip
    for column, (label, value, change, note) in zip(parts.tiles(len(figures), name), figures, strict=True):
        column.metric(
            label, value, delta=change, delta_color="inverse", help=note, border=True, height="stretch"
        )
    st.markdown(fmt.plain(_sentence(plan.reason)))
    if len(plan.windows) > 1:
        st.caption("In pieces: " + "; ".join(fmt.plain(text) for text in windows_text(plan)) + ".")
    if sources := _sources(plan):
        st.caption(fmt.plain(sources))


def start_text(plan: CarbonPlan) -> str:
    """Write when a plan starts."""
    return "at once" if plan.start_at <= plan.made_at else parts.near_time(plan.start_at)


def windows_text(plan: CarbonPlan) -> list[str]:
    """Write each planned window with what is expected in it, at most eight."""
    zone, texts = parts.reader_zone(), []
    for window in plan.windows[:8]:
        start, end = window.start.astimezone(zone), window.end.astimezone(zone)
        texts.append(f"{start:%a %H:%M}–{end:%H:%M} ({window.g_per_kwh:.0f} g/kWh)")
    if more := len(plan.windows) - len(texts):
        texts.append(f"{more} more")
    return texts


def saving_text(share: float) -> str | None:
    """Write a share that is saved as the change it makes; None where there is none."""
    return f"{-100 * share:+.0f} %" if abs(share) >= 0.005 else None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "…", "!")) else ".")


def _sources(plan: CarbonPlan) -> str:
    grid = f"{plan.provider}, {plan.basis}. " if plan.provider else ""
    return f"{grid}Forecast: {plan.method}." if plan.g_per_kwh is not None else grid
