"""What a run's plan was or is, and what it really saved by it."""

from __future__ import annotations

import streamlit as st

from schema import CarbonOutcome, CarbonPlan, RunReply
from views import format as fmt
from views import parts
from views.carbon.charts import windows_figure
from views.carbon.runs import DEADLINE_NOTE
from views.live_chart import live_charts
from views.plan import saving_text, show_plan


def show(run: RunReply) -> None:
    """Draw the section; nothing for a run that does not follow the grid."""
    if run.options.carbon is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Clean electricity", anchor=False, width="content")
        _badge(run)
    if run.carbon_outcome is not None:
        _outcome(run, run.carbon_outcome)
    if run.carbon is None:
        st.caption("It is planned within the next minutes.")
    elif run.status.is_final:
        with st.expander("Its last plan", icon=":material/schedule:"):
            show_plan(run.carbon, name=f"plan-{run.run_id}")
    else:
        _plan(run, run.carbon)


def _badge(run: RunReply) -> None:
    if run.carbon is not None and run.carbon.is_override:
        st.badge("run now was asked for", icon=":material/bolt:", color="orange")
    elif run.is_postponed:
        st.badge("pausing for the grid", icon=":material/pause_circle:", color="orange")


def _plan(run: RunReply, plan: CarbonPlan) -> None:
    if plan.is_override:
        st.caption(f"It follows the grid no more: {fmt.plain(plan.reason)}.")
        return
    show_plan(plan, name=f"plan-{run.run_id}")
    if plan.windows:
        figure = windows_figure([run], until=plan.end_at, now=plan.made_at, zone=parts.reader_zone())
        live_charts([figure], key=f"plan:{run.run_id}")
    note = DEADLINE_NOTE if plan.windows else ""
    st.caption(f"{note} Planned again at {parts.near_time(plan.next_at)}, as long as it has not ended.")


def _outcome(run: RunReply, outcome: CarbonOutcome) -> None:
    if outcome.saved_g is None:
        reason = fmt.plain(outcome.reason or "a figure is missing").rstrip(".")
        st.caption(f"What it saved is not known: {reason}.")
        return
    share = outcome.saved_g / outcome.run_now_co2_g if outcome.run_now_co2_g else 0.0
    pauses = (
        "no pause" if not outcome.pauses else f"{outcome.pauses} pause{'' if outcome.pauses == 1 else 's'}"
    )
    figures = (
        ("Saved", fmt.co2(outcome.saved_g), None, "Realised, with the intensities that were recorded."),
        ("CO₂ as it ran", fmt.co2(outcome.co2_g), saving_text(share), "Of its energy at the hours it ran."),
        ("Run at once", fmt.co2(outcome.run_now_co2_g), None, "The same energy from its submission on."),
        ("Paused", fmt.duration(outcome.paused_s), None, f"{pauses}, waiting for clean electricity."),
    )  # fmt: skip
    for column, (label, value, change, note) in zip(
        parts.tiles(len(figures), "carbon-outcome"), figures, strict=True
    ):
        column.metric(
            label, value, delta=change, delta_color="inverse", help=note, border=True, height="stretch"
        )
    if outcome.provider:
        where = f"{outcome.zone}, {outcome.provider}, {outcome.basis}"
        simulated = " Simulated: it counts in no sum." if run.simulated else ""
        st.caption(fmt.plain(where) + "." + simulated)
