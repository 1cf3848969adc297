"""The Compare page: runs beside each other, what they differ in, what became of them, and how they spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, cast

import pandas as pd
import streamlit as st

from views import format as fmt
from views import parts
from views.compare import compared as of_runs
from views.compare.choice import MOST, choose_runs
from views.compare.compared import Compared, choose_flag, choose_tab
from views.compare.copy_link import copy_link
from views.compare.curves import Drawn, show_curves
from views.compare.files import write_curves, write_runs
from views.compare.save_text import save_text
from views.compare.spreads import show_groups, show_parallel, show_scatter
from views.compare.tables import list_params, list_rows, metrics_frame, params_frame, total_rows, warnings_of
from views.runs.table import runs_frame

FEWEST: Final = 2
_LIVE_S: Final = 5
_PINNED_PX: Final = 150
_VIEWS: Final[Mapping[str, Callable[[Compared], Drawn | None]]] = {
    "Curves": show_curves,
    "Parallel": show_parallel,
    "Scatter": show_scatter,
    "Groups": show_groups,
}


def show() -> None:
    """Show the page."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title("Compare", width="content")
        copy_link(key="compare:link")
    wanted = choose_runs()
    if len(wanted) < FEWEST:
        st.info(
            "Choose two to twenty runs here, or mark them in the list of runs and press *Compare*. "
            "The address of this page then leads to this comparison.",
            icon=":material/compare_arrows:",
        )
        st.page_link(parts.page("runs"), label="All runs", icon=":material/table_rows:")
        return
    if len(wanted) > MOST:
        st.warning(f"At most {MOST} runs are compared: the first {MOST} of {len(wanted)} are.")
        wanted = wanted[:MOST]
    is_live = of_runs.fetch(wanted).is_live
    st.fragment(_body, run_every=_LIVE_S if is_live else None)(wanted, was_live=is_live)


def _body(wanted: Sequence[str], *, was_live: bool) -> None:
    """Draw the comparison; every few seconds while one of the runs is trained."""
    compared = of_runs.fetch(wanted)
    if compared.is_live != was_live:
        st.rerun()
    for iid, reason in compared.missing.items():
        st.warning(fmt.plain(f"{iid[:64]}: {reason}"), icon=":material/search_off:")
    if len(compared.runs) < FEWEST:
        return
    for text in warnings_of(compared.runs, compared.metrics):
        st.warning(fmt.plain(text), icon=":material/balance:")
    _runs(compared)
    _params(compared)
    view = choose_tab("view", "View", list(_VIEWS), label_visibility="collapsed")
    drawn = _VIEWS[view](compared)
    _values(compared)
    _foot(compared, drawn)


def _runs(compared: Compared) -> None:
    runs = compared.runs
    frame, columns = runs_frame(runs)
    frame = frame.drop(columns=["progress", "curve"])
    frame["color"] = [compared.lines[run.run_id].swatch for run in runs]
    frame["open"] = [f"run?iid={run.run_id}" for run in runs]
    columns["color"] = st.column_config.ImageColumn("", width=48, help="How its curves are drawn.")
    columns["open"] = st.column_config.LinkColumn("", width=60, display_text="Open")
    st.dataframe(frame, column_config=columns, hide_index=True, placeholder=fmt.MISSING, height="content")


def _params(compared: Compared) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Parameters that differ", anchor=False, width="content")
        are_all_wanted = choose_flag("allparams", "All parameters")
    params = list_params(compared.runs, are_all_wanted=are_all_wanted)
    if not params:
        st.caption("They have the same parameters: what differs is chance, the machine or the code.")
        return
    _table(params_frame(params, compared.labels), ["Parameter"])


def _values(compared: Compared) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Best and last", anchor=False, width="content")
        has_system = choose_flag("system", "System metrics")
    names = compared.list_names(has_system=has_system)
    if not names:
        st.caption("None of them has reported a metric yet.")
        return
    rows = [*total_rows(compared.runs), *list_rows(compared.runs, compared.metrics, names)]
    _table(metrics_frame(rows, compared.labels), ["Metric"], alignment="right")
    st.caption(
        "Runs that have not ended have the best and last values so far. "
        "★ the best of its line, where the name of the metric tells whether the highest or the lowest is."
    )


def _table(
    frame: pd.DataFrame, pinned: Sequence[str], *, alignment: Literal["left", "right"] = "left"
) -> None:
    """Draw a table with a column for each run, the names beside them always in sight."""
    kinds = st.column_config
    columns: dict[str, Any] = {name: kinds.TextColumn(name, pinned=True, width=_PINNED_PX) for name in pinned}
    columns |= {
        str(name): kinds.TextColumn(str(name), alignment="left" if name == "Value" else alignment)
        for name in frame.columns
        if name not in pinned
    }
    height = cast("Any", "content" if len(frame) <= MOST else 600)
    st.dataframe(frame, column_config=columns, hide_index=True, placeholder=fmt.MISSING, height=height)


def _foot(compared: Compared, drawn: Drawn | None) -> None:
    """Draw what takes the comparison elsewhere."""
    with st.container(horizontal=True, vertical_alignment="center"):
        save_text("Runs as CSV", write_runs(compared), file_name="compared-runs.csv", key="compare:save:runs")
        if drawn is not None:
            text = write_curves(compared, drawn)
            save_text("Curves as CSV", text, file_name="compared-curves.csv", key="compare:save:curves")
        st.caption("Charts are saved as PNG or SVG by the buttons at their top right.", width="content")
