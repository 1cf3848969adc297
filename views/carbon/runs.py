"""Runs that follow the grid, on the page Carbon: when they are planned, and what they have saved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from schema import ForecastReply, RunReply, SavingsReply
from views import format as fmt
from views import grid, parts
from views.asking import Questions
from views.carbon.charts import savings_figure, windows_figure
from views.live_chart import live_charts
from views.look import run_title

_ROWS = 12
DEADLINE_NOTE = (
    "Bars are when a run is planned to run; the stroke at the end of its line is when it has to be done."
)


def show(questions: Questions, forecast: ForecastReply | None) -> None:
    """Draw both sections; the time line reaches as far as the forecast."""
    _planned(questions, forecast)
    _saved(questions)


def _planned(questions: Questions, forecast: ForecastReply | None) -> None:
    st.subheader("Runs that wait for clean electricity", anchor=False)
    runs = questions.answer("planned")
    if runs.value is None:
        return
    if not runs.value:
        st.caption(
            "None at the moment. Choose *Clean electricity* when you submit a run, and it waits for the best "
            "hours."
        )
        st.page_link(parts.page("submit"), label="Submit a run", icon=":material/add:")
        return
    shown, now = runs.value[:_ROWS], datetime.now(UTC)
    until = forecast.points[-1].start if forecast else now
    live_charts([windows_figure(shown, until=until, now=now, zone=parts.reader_zone())], key="planned")
    st.caption(DEADLINE_NOTE)
    _table(shown)
    if more := len(runs.value) - len(shown):
        st.caption(f"And {fmt.count(more)} more, which start later.")


def _table(runs: Sequence[RunReply]) -> None:
    zone = parts.reader_zone()
    rows = []
    for run in runs:
        plan = run.carbon
        if plan is None:
            continue
        rows.append(
            {
                "Run": f"/run?iid={run.run_id}",
                "Trains": run_title(run),
                "Status": run.status.value,
                "Zone": plan.zone or fmt.MISSING,
                "Starts": f"{plan.start_at.astimezone(zone):%a %d %b, %H:%M}",
                "Done by": f"{plan.deadline.astimezone(zone):%a %d %b, %H:%M}",
                "Expected g/kWh": plan.g_per_kwh,
                "At once g/kWh": plan.run_now_g_per_kwh,
                "Saving %": 100 * plan.saving,
                "Expected CO₂": fmt.co2(plan.expected_co2_g),
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        height="content",
        column_config={
            "Run": st.column_config.LinkColumn(display_text=r"iid=(.{1,8})", width="small"),
            **{
                name: st.column_config.NumberColumn(format="%.0f")
                for name in ("Expected g/kWh", "At once g/kWh", "Saving %")
            },
        },
    )


def _saved(questions: Questions) -> None:
    st.subheader("Saved by waiting", anchor=False)
    savings = questions.answer("savings")
    if savings.value is None:
        return
    counted = sum(week.runs for week in savings.value.weeks)
    if not counted:
        st.caption(
            f"No run that waited for the grid has ended in the last {grid.SAVINGS_WEEKS} weeks with known "
            "energy. What such runs really saved against running at once is summed here; simulated ones do "
            "not count."
        )
        return
    _saved_tiles(savings.value, counted)
    live_charts([savings_figure(savings.value.weeks)], key="savings")
    st.caption("Realised: the energy of these runs times the recorded intensities, not the expected ones.")


def _saved_tiles(savings: SavingsReply, counted: int) -> None:
    run_now_g = sum(week.run_now_co2_g for week in savings.weeks)
    share = f"{-100 * savings.saved_g / run_now_g:+.0f} %" if run_now_g else None
    figures = (
        (f"Saved in {grid.SAVINGS_WEEKS} weeks", fmt.co2(savings.saved_g), share),
        ("Emitted", fmt.co2(sum(week.co2_g for week in savings.weeks)), None),
        ("Run at once", fmt.co2(run_now_g), None),
        ("Runs", fmt.count(counted), None),
    )
    for column, (label, value, delta) in zip(parts.tiles(len(figures), "saved"), figures, strict=True):
        column.metric(label, value, delta=delta, delta_color="inverse", border=True, height="stretch")
