"""The configuration that is recommended: its reason, its figures with their spread, and what it beats."""

from __future__ import annotations

import re
from typing import Any, Final

import streamlit as st

from schema.leaderboard import Spread
from schema.recommend import Answer, Candidate, RecommendReply
from views import format as fmt
from views import parts
from views.look import PillColor, short_id

_BEFORE_UNIT: Final = re.compile(r"(?<=\d) (?=%|(?:points?|[km]?g|[km]?Wh|s|min|h)\b)")
_WIDTHS: Final = {
    "Configuration": 105,
    "Against the answer": 385,
    "Accuracy": 160,
    "CO₂": 150,
    "Energy": 75,
    "Energy is": 85,
    "Duration": 70,
}
_QUALITY_COLORS: Final[dict[str, PillColor]] = {"measured": "green", "estimated": "orange"}


def show_answer(reply: RecommendReply, answer: Answer) -> None:
    """Draw the card of the answer, with the way to submit it again."""
    found = answer.candidate
    with st.container(border=True, key="recommend-card"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(fmt.plain(_title(found)), anchor=False, width="content")
            if found.simulated:
                parts.simulated_pill()
            else:
                _quality_pill(found)
            if found.device:
                st.caption(fmt.plain(found.device), width="content")
        st.markdown(fmt.plain(joined(reply.reason)))
        _tiles(found)
        st.caption(_behind(reply, found))
        _ways_on(answer)
        if answer.more_for_less is not None:
            st.info(_more_for_less(answer.more_for_less), icon=":material/lightbulb:")


def show_others(reply: RecommendReply, answer: Answer) -> None:
    """List the next best ones, and what speaks against each."""
    if not answer.beats:
        return
    more = reply.fitting - 1 - len(answer.beats)
    st.subheader("What it beats", anchor=False)
    st.dataframe(
        [_row(beaten.candidate, beaten.reason) for beaten in answer.beats],
        hide_index=True,
        height="content",
        placeholder=fmt.MISSING,
        column_config=_columns(),
    )
    if more:
        st.caption(f"And {fmt.count(more)} more that keep to the limits.")


def _columns() -> dict[str, Any]:
    """Give each column what its longest text takes; together they fit beside the menu on 1,440 pixels."""
    kinds = st.column_config
    return {
        **{name: kinds.TextColumn(name, width=width) for name, width in _WIDTHS.items()},
        "Runs": kinds.NumberColumn("Runs", width=45),
        "Run": kinds.LinkColumn("Run", width=75, display_text=r"iid=(.{1,8})"),
    }


def _row(found: Candidate, reason: str) -> dict[str, Any]:
    return {
        "Configuration": _title(found),
        "Against the answer": reason,
        "Accuracy": spread_text(found.accuracy, fmt.percent),
        "CO₂": spread_text(found.co2_g, fmt.masses(_ends(found.co2_g))),
        "Energy": None if found.energy_kwh is None else fmt.energy(found.energy_kwh.median),
        "Energy is": quality_text(found),
        "Duration": None if found.duration_s is None else fmt.duration(found.duration_s.median),
        "Runs": found.runs,
        "Run": f"/run?iid={found.run_id}",
    }


def joined(text: str) -> str:
    """Keep each number and its unit on one line."""
    return _BEFORE_UNIT.sub("\u00a0", text)


def spread_text(spread: Spread | None, write: fmt.Write) -> str | None:
    """Write a median, and from where to where its runs go; None where it is not known."""
    if spread is None:
        return None
    if spread.low == spread.high:
        return write(spread.median)
    return f"{write(spread.median)} ({write(spread.low)} – {write(spread.high)})"


def _ends(spread: Spread | None) -> tuple[float, ...]:
    """Return what stands beside each other of a figure, and so in one unit."""
    return () if spread is None else (spread.low, spread.median, spread.high)


def quality_text(found: Candidate) -> str | None:
    """Say how the energy of a configuration is known; None where there is none."""
    if found.energy_kwh is None:
        return None
    return "partly measured" if found.is_mixed else found.energy_quality or "not said"


def _title(found: Candidate) -> str:
    return found.network or found.name or short_id(found.run_id)


def _quality_pill(found: Candidate) -> None:
    quality = quality_text(found)
    if quality is not None:
        st.badge(
            f"energy {quality}",
            color=_QUALITY_COLORS.get(quality, "gray"),
            help="Measured by a counter, estimated from load, or not said.",
        )


def _tiles(found: Candidate) -> None:
    figures = (
        ("Accuracy", found.accuracy, fmt.percent),
        ("CO₂", found.co2_g, fmt.masses(_ends(found.co2_g))),
        ("Energy", found.energy_kwh, fmt.energies(_ends(found.energy_kwh))),
        ("Duration", found.duration_s, fmt.duration),
    )
    for column, (label, spread, write) in zip(parts.tiles(len(figures), "recommend"), figures, strict=True):
        column.metric(
            label,
            write(spread.median if spread else None),
            delta=_range(spread, write),
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help="Median over the runs of this configuration; below it, from the lowest to the highest.",
        )


def _range(spread: Spread | None, write: fmt.Write) -> str | None:
    if spread is None:
        return None
    if spread.n == 1:
        return "spread unknown"
    return f"{write(spread.low)} – {write(spread.high)}, n = {spread.n}"


def _behind(reply: RecommendReply, found: Candidate) -> str:
    runs = "1 run stands" if found.runs == 1 else f"{fmt.count(found.runs)} runs stand"
    kept = "keeps" if reply.fitting == 1 else "keep"
    return (
        f"{runs} behind it. Of {fmt.count(reply.configurations)} configurations with {fmt.count(reply.runs)} "
        f"finished runs, {fmt.count(reply.fitting)} {kept} to the limits."
    )


def _ways_on(answer: Answer) -> None:
    run_id = answer.candidate.run_id
    with st.container(horizontal=True, vertical_alignment="center"):
        if answer.hyper_params is not None:
            if st.button("Submit this", type="primary", icon=":material/add_circle:"):
                parts.go_to("submit", {"from": run_id})
        else:
            st.caption("A run of somebody's own script: start that again yourself.", width="content")
        if st.button("Open its run", icon=":material/arrow_forward:"):
            parts.go_to("run", {"iid": run_id})
    if answer.hyper_params is not None:
        with st.expander("Its hyperparameters", icon=":material/code:"):
            st.json(answer.hyper_params)


def _more_for_less(found: Candidate) -> str:
    figures = (
        f"{fmt.percent(found.accuracy.median)} for {fmt.co2(found.co2_g.median if found.co2_g else None)}"
    )
    return (
        f"**{fmt.plain(_title(found))}** is more accurate than you asked for and emits no more: {figures}. "
        "Allow more points to see it."
    )
