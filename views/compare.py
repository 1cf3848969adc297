"""The Compare page: runs beside each other, what they differ in, their curves, their best and last values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, cast

import pandas as pd
import streamlit as st

from errors import ApiRefused
from schema import MetricSummary, RunReply, Series
from views import format as fmt
from views import parts, source
from views.compare_charts import Axis, Line, compare_figure, lines_of
from views.compare_tables import (
    labels_of,
    list_params,
    list_rows,
    metrics_frame,
    params_frame,
    rank_of,
    warnings_of,
)
from views.live_chart import live_charts
from views.look import run_name, short_id
from views.run_system import PREFIX as SYSTEM
from views.runs_table import runs_frame
from views.source import Listing

FEWEST, MOST = 2, 20
_CHOICE: Final = "compare:choice"
_LIVE_S: Final = 5
_PINNED_PX: Final = 150
_CHARTS_AT_FIRST: Final = 4
_MOST_CHARTS: Final = 8
# Of many curves fewer points each are enough, and quicker to draw.
_POINTS, _POINTS_OF_MANY, _MANY = 600, 250, 5
_AXES: Final[Mapping[str, Axis]] = {"Step": "step", "Wall time": "time"}


@dataclass(frozen=True)
class Compared:
    """The runs and what is known of their metrics; those of no run are ``missing``, with the reason."""

    runs: Sequence[RunReply]
    metrics: Mapping[str, Mapping[str, MetricSummary]]
    missing: Mapping[str, str]
    is_silent: bool = False

    @property
    def is_live(self) -> bool:
        """Whether something of it may still change, or the API has to come back first."""
        return self.is_silent or any(not run.status.is_final for run in self.runs)

    def list_names(self) -> list[str]:
        """Return the metrics: what they are trained for first, of that what most have; machines last."""
        counts: dict[str, int] = {}
        for own in self.metrics.values():
            for name in own:
                counts[name] = counts.get(name, 0) + 1

        def rank(name: str) -> tuple[bool, int, int, str]:
            return name.startswith(SYSTEM), rank_of(name), -counts[name], name

        return sorted(counts, key=rank)


def show() -> None:
    """Show the page."""
    st.title("Compare")
    wanted = _choose_runs()
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
    is_live = _fetch(wanted).is_live
    st.fragment(_body, run_every=_LIVE_S if is_live else None)(wanted, was_live=is_live)


def _choose_runs() -> list[str]:
    """Draw the box of what is compared; the runs are those in the URL."""
    wanted = list(dict.fromkeys(st.query_params.get_all("run")))
    page = source.fetch("run:list", lambda: source.list_runs(Listing(), None))
    parts.silence_banner(page.problem)
    titles = {run.run_id: run_name(run) for run in (page.value.reply.results if page.value else ())}
    others = [iid for iid in wanted if iid not in titles]
    st.session_state[_CHOICE] = wanted
    st.multiselect(
        "Runs",
        [*others, *titles],
        format_func=lambda iid: titles.get(iid, short_id(iid)),
        key=_CHOICE,
        on_change=_remember_choice,
        placeholder="Choose runs to compare",
        label_visibility="collapsed",
    )
    return wanted


def _remember_choice() -> None:
    st.query_params["run"] = st.session_state[_CHOICE]


def _fetch(wanted: Sequence[str]) -> Compared:
    runs, metrics, missing, is_silent = [], {}, {}, False
    for iid in wanted:
        try:
            run = source.fetch(f"compare:{iid}", partial(source.get_run, iid), of=iid)
            found = source.fetch(f"compare:metrics:{iid}", partial(source.list_compared, iid), of=iid)
        except ApiRefused as error:
            missing[iid] = str(error)
            continue
        is_silent = is_silent or run.problem is not None or found.problem is not None
        if run.value is not None:
            runs.append(run.value)
            metrics[run.value.run_id] = {metric.name: metric for metric in found.value or ()}
    return Compared(runs, metrics, missing, is_silent)


def _body(wanted: Sequence[str], *, was_live: bool) -> None:
    """Draw the comparison; every few seconds while one of the runs is trained."""
    compared = _fetch(wanted)
    if compared.is_live != was_live:
        st.rerun()
    for iid, reason in compared.missing.items():
        st.warning(fmt.plain(f"{iid[:64]}: {reason}"), icon=":material/search_off:")
    if len(compared.runs) < FEWEST:
        return
    for text in warnings_of(compared.runs):
        st.warning(fmt.plain(text), icon=":material/balance:")
    labels = labels_of(compared.runs)
    lines = lines_of([run.run_id for run in compared.runs])
    _runs(compared.runs, lines)
    _params(compared.runs, labels)
    _curves(compared, labels, lines)
    _values(compared, labels)


def _runs(runs: Sequence[RunReply], lines: Mapping[str, Line]) -> None:
    frame, columns = runs_frame(runs)
    frame = frame.drop(columns=["progress", "curve"])
    frame["color"] = [lines[run.run_id].swatch for run in runs]
    frame["open"] = [f"run?iid={run.run_id}" for run in runs]
    columns["color"] = st.column_config.ImageColumn("", width=48, help="How its curves are drawn.")
    columns["open"] = st.column_config.LinkColumn("", width=60, display_text="Open")
    st.dataframe(frame, column_config=columns, hide_index=True, placeholder=fmt.MISSING, height="content")


def _params(runs: Sequence[RunReply], labels: Mapping[str, str]) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Parameters that differ", anchor=False, width="content")
        are_all_wanted = st.toggle("All parameters", key="compare:all_params")
    params = list_params(runs, are_all_wanted=are_all_wanted)
    if not params:
        st.caption("They have the same parameters: what differs is chance, the machine or the code.")
        return
    _table(params_frame(params, labels), ["Parameter"])


def _curves(compared: Compared, labels: Mapping[str, str], lines: Mapping[str, Line]) -> None:
    names = compared.list_names()
    st.subheader("Curves", anchor=False)
    if not names:
        st.caption("None of them has reported a metric yet.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.multiselect(
            "Metrics",
            names,
            default=[name for name in names if not name.startswith(SYSTEM)][:_CHARTS_AT_FIRST],
            key=f"compare:metrics:{','.join(labels)}",
            max_selections=_MOST_CHARTS,
            placeholder="Choose metrics to see",
            label_visibility="collapsed",
        )
        axis = st.segmented_control(
            "Axis",
            list(_AXES),
            default="Step",
            required=True,
            key="axis",
            bind="query-params",
            label_visibility="collapsed",
            width="content",
        )
    series = _read(compared, chosen)
    starts_s = _starts_s(compared.runs, series)
    figures = [
        compare_figure(
            *(name, {run_id: own[name] for run_id, own in series.items() if name in own}),
            axis=_AXES[str(axis)],
            starts_s=starts_s,
            lines=lines,
            labels=labels,
        )
        for name in chosen
    ]
    live_charts([str(figure.to_json()) for figure in figures], key="compare:charts")
    st.caption("A step is what each run counts: an epoch for runs of the queue, anything for scripts.")


def _read(compared: Compared, names: Sequence[str]) -> dict[str, Mapping[str, Series]]:
    """Return the points of metrics by run; those of a run are asked for anew when it has more."""
    points = _POINTS_OF_MANY if len(compared.runs) > _MANY else _POINTS
    found: dict[str, Mapping[str, Series]] = {}
    for run in compared.runs:
        own = compared.metrics[run.run_id]
        wanted = tuple(name for name in names if name in own)
        if wanted:
            version = ",".join(f"{own[name].count}:{own[name].last_step}" for name in wanted)
            ask = partial(source.read_metrics, run.run_id, wanted, version, points=points)
            asked = source.fetch(f"compare:points:{run.run_id}", ask, of=(run.run_id, wanted))
            found[run.run_id] = asked.value or {}
    return found


def _starts_s(runs: Sequence[RunReply], series: Mapping[str, Mapping[str, Series]]) -> dict[str, float]:
    """Return when each run began: by the store, or by an earlier point of a script whose clock differs."""
    starts = {}
    for run in runs:
        own = series.get(run.run_id, {})
        times = [time for points in own.values() for time in points.times if time is not None]
        begun = run.started_at or run.time_added
        starts[run.run_id] = min([begun.timestamp(), *times])
    return starts


def _values(compared: Compared, labels: Mapping[str, str]) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Best and last", anchor=False, width="content")
        has_system = st.toggle("System metrics", key="compare:system")
    names = [name for name in compared.list_names() if has_system or not name.startswith(SYSTEM)]
    if not names:
        st.caption("None of them has reported a metric yet.")
        return
    rows = list_rows(compared.runs, compared.metrics, names)
    _table(metrics_frame(rows, labels), ["Metric", "Value"], alignment="right")
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
        str(name): kinds.TextColumn(str(name), alignment=alignment)
        for name in frame.columns
        if name not in pinned
    }
    height = cast("Any", "content" if len(frame) <= MOST else 600)
    st.dataframe(frame, column_config=columns, hide_index=True, placeholder=fmt.MISSING, height=height)
