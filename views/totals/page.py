"""The Totals page: what all runs used, by day and by project."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from schema import Cost, Total
from views import format as fmt
from views import parts, source
from views.charts import totals_figures
from views.columns import scaled
from views.equivalents import equivalent_tiles
from views.live_chart import live_charts

_SPANS = {"7 days": 7, "30 days": 30, "90 days": 90, "a year": 366}


def show() -> None:
    """Show the page."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Totals", width="content")
        span = st.segmented_control(
            "Span",
            list(_SPANS),
            default="30 days",
            required=True,
            key="totals:span",
            label_visibility="collapsed",
        )
    days = _SPANS[str(span)]
    by_day = source.fetch("totals:day", lambda: source.list_totals("day", days), of=days)
    by_project = source.fetch("totals:project", lambda: source.list_totals("project", days))
    parts.silence_banner(by_day.problem or by_project.problem)
    if by_day.value is None or by_project.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    with parts.grey_area(by_day):
        _days(by_day.value.totals, str(span))
        _projects(by_project.value.totals)


def _days(totals: Sequence[Total], span: str) -> None:
    real = add_up([total.real for total in totals])
    if real.epochs + real.extras == 0:
        simulated = sum(total.simulated.epochs for total in totals)
        also = f" {fmt.count(simulated)} simulated epochs do not count." if simulated else ""
        st.info(f"Nothing was trained in the last {span.removeprefix('a ')}.{also}", icon=":material/eco:")
        if st.button("Submit a run", type="primary", icon=":material/add:"):
            parts.go_to("submit")
        return
    equivalents = source.equivalents(real.co2_g)
    figures = (
        ("Energy", fmt.energy(real.energy_kwh), unknown_note(real.unknown_energy_epochs, "energy")),
        ("CO₂", fmt.co2(real.co2_g), unknown_note(real.unknown_co2_epochs, "CO₂")),
        ("Training time", fmt.duration(real.duration_s), f"{fmt.count(real.epochs)} epochs of all attempts."),
        *equivalent_tiles(equivalents),
    )
    for column, (label, value, note) in zip(parts.tiles(len(figures), "totals"), figures, strict=True):
        column.metric(label, value, help=note, border=True, height="stretch")
    live_charts(totals_figures(totals), key="totals")


def add_up(costs: Sequence[Cost]) -> Cost:
    """Add costs; a sum of which nothing is known is None."""
    energy = [cost.energy_kwh for cost in costs if cost.epochs + cost.extras and cost.energy_kwh is not None]
    co2 = [cost.co2_g for cost in costs if cost.epochs + cost.extras and cost.co2_g is not None]
    return Cost(
        energy_kwh=sum(energy) if energy else None,
        co2_g=sum(co2) if co2 else None,
        duration_s=sum(cost.duration_s for cost in costs),
        epochs=sum(cost.epochs for cost in costs),
        extras=sum(cost.extras for cost in costs),
        unknown_energy_epochs=sum(cost.unknown_energy_epochs for cost in costs),
        unknown_co2_epochs=sum(cost.unknown_co2_epochs for cost in costs),
    )


def unknown_note(unknown: int, what: str) -> str:
    """Say what a sum leaves out."""
    if unknown == 0:
        return f"The {what} of every epoch is known. Simulated runs do not count."
    epochs = "one epoch" if unknown == 1 else f"{fmt.count(unknown)} epochs"
    return f"Without {epochs} of unknown {what}. Simulated runs do not count."


def _projects(totals: Sequence[Total]) -> None:
    listed = [total for total in totals if total.real.epochs + total.real.extras]
    if not listed:
        return
    st.subheader("By project", anchor=False)
    st.caption("All time, simulated runs apart.")
    energy = fmt.energy_unit(total.real.energy_kwh for total in listed)
    co2 = fmt.co2_unit(total.real.co2_g for total in listed)
    time = fmt.time_unit(total.real.duration_s for total in listed)
    frame = pd.DataFrame(
        {
            "Project": [total.name for total in listed],
            f"Energy {energy.label}": scaled([total.real.energy_kwh for total in listed], energy.factor),
            f"CO₂ {co2.label}": scaled([total.real.co2_g for total in listed], co2.factor),
            f"Time {time.label}": scaled([total.real.duration_s for total in listed], time.factor),
            "Epochs": [total.real.epochs for total in listed],
            "Epochs without energy": [total.real.unknown_energy_epochs for total in listed],
        }
    )
    number = st.column_config.NumberColumn
    columns = {name: number(format=f"%.{fmt.decimals(frame[name].dropna())}f") for name in frame.columns[1:4]}
    st.dataframe(frame, hide_index=True, placeholder=fmt.MISSING, column_config=columns, height="content")
