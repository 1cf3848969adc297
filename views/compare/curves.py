"""The curves of a comparison: on which axis, how smooth, on which scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import streamlit as st

from schema import RunReply, Series
from views import format as fmt
from views import source
from views.compare.bands import QUARTILES_FROM
from views.compare.charts import compare_figure
from views.compare.compared import Compared, choose_flag, choose_many, choose_one, choose_tab
from views.compare.groups import Group, group_runs, list_groupings
from views.compare.points import COSTS, Axis, Curve, Scales, left_out, place, without_place
from views.compare.smoothing import Kind, Smoothing
from views.compare.tables import mixed_units
from views.live_chart import live_charts

AXES: Final[Mapping[str, Axis]] = {
    "Step": "step",
    "Wall time": "time",
    "Energy": "energy_kwh",
    "CO₂": "co2_g",
}
_KINDS: Final[Mapping[str, Kind]] = {
    "No smoothing": "none",
    "Exponential": "exponential",
    "Moving mean": "moving",
}
_BY_RUN: Final = "every run"
_BANDS: Final = (
    "Lines are medians of groups, at each step that at least half of the runs have come to; bands hold the "
    f"middle half of the runs, of fewer than {QUARTILES_FROM} all. Each run is faint behind; one alone in "
    "its group is as ever."
)
_CHARTS_AT_FIRST: Final = 4
_MOST_CHARTS: Final = 8
# Of many curves fewer points each are enough, and quicker to draw.
_POINTS, _POINTS_OF_MANY, _MANY = 600, 250, 5


@dataclass(frozen=True)
class Drawn:
    """What the reader sees: by metric, and in it by run."""

    curves: Mapping[str, Mapping[str, Curve]]
    axis: Axis


def show_curves(compared: Compared) -> Drawn | None:
    """Draw the curves and how to draw them; None where there is nothing to draw."""
    names = compared.list_names()
    if not names:
        st.caption("None of them has reported a metric yet.")
        return None
    chosen = choose_many(
        "metric",
        "Metrics",
        names,
        compared.list_names(has_system=False)[:_CHARTS_AT_FIRST],
        max_selections=_MOST_CHARTS,
        placeholder="Choose metrics to see",
        label_visibility="collapsed",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axis = AXES[choose_tab("axis", "Over", list(AXES), width="content")]
        how = _choose_smoothing()
        by = choose_one("curves", "Group by", [_BY_RUN, *list_groupings(compared.runs)], _BY_RUN, width=180)
        scales = choose_scales()
    groups = [] if by == _BY_RUN else group_runs(compared.runs, by)
    drawn = Drawn(_place(compared, chosen, axis, how), axis)
    live_charts(_figures(compared, drawn, scales, groups), key="compare:charts")
    if groups:
        st.caption(_BANDS)
    _notes(compared, drawn, how, scales)
    return drawn


def _figures(compared: Compared, drawn: Drawn, scales: Scales, groups: Sequence[Group]) -> list[str]:
    """Return a figure for each metric, as JSON."""
    mixed = mixed_units(compared.metrics)
    figures = []
    for name, curves in drawn.curves.items():
        figure = compare_figure(
            name,
            curves,
            axis=drawn.axis,
            scales=scales,
            lines=compared.lines,
            labels=compared.labels,
            groups=groups,
        )
        if name in mixed:
            figure.update_layout(title_text=f"{figure.layout.title.text} · units differ")
        figures.append(str(figure.to_json()))
    return figures


def choose_scales() -> Scales:
    """Draw the switches of logarithmic axes."""
    log_y = choose_flag("logy", "Log y")
    return Scales(choose_flag("logx", "Log x"), log_y)


def _choose_smoothing() -> Smoothing:
    kind = _KINDS[choose_one("smooth", "Smoothing", list(_KINDS), "No smoothing", width=150)]
    if kind == "exponential":
        weight = st.slider(
            "Weight", 0.0, 0.99, 0.6, 0.01, key="weight", bind="query-params", width=180,
            help="Of all points before, in each mean.",
        )  # fmt: skip
        return Smoothing(kind, weight=weight)
    if kind == "moving":
        window = st.slider("Points", 2, 50, 5, key="window", bind="query-params", width=180)
        return Smoothing(kind, window=window)
    return Smoothing()


def _place(
    compared: Compared, names: Sequence[str], axis: Axis, how: Smoothing
) -> Mapping[str, Mapping[str, Curve]]:
    series = {run.run_id: _read(compared, run, names, axis) for run in compared.runs}
    starts_s = {run.run_id: _start_s(run, series[run.run_id]) for run in compared.runs}
    return {
        name: {
            run_id: place(own[name], axis, starts_s[run_id], how)
            for run_id, own in series.items()
            if name in own
        }
        for name in names
    }


def _read(compared: Compared, run: RunReply, names: Sequence[str], axis: Axis) -> Mapping[str, Series]:
    """Return the points of a run's metrics by name; they are asked for anew when there are more."""
    own = compared.metrics[run.run_id]
    wanted = tuple(name for name in names if name in own)
    if not wanted:
        return {}
    points = _POINTS_OF_MANY if len(compared.runs) > _MANY else _POINTS
    version = ",".join(f"{own[name].count}:{own[name].last_step}" for name in wanted)
    read = source.read_ended_metrics if run.status.is_final else source.read_metrics
    cost = COSTS.get(axis)
    version = f"{version}:{source.version_of(run)}"
    ask = partial(read, run.run_id, wanted, version, points=points, cost=cost)
    asked = source.fetch(f"compare:points:{run.run_id}", ask, of=(run.run_id, wanted, cost))
    return asked.value or {}


def _start_s(run: RunReply, own: Mapping[str, Series]) -> float:
    """Return when a run began: by the store, or by an earlier point of a script whose clock differs."""
    times = [time for points in own.values() for time in points.times if time is not None]
    begun = run.started_at or run.time_added
    return min([begun.timestamp(), *times])


def _notes(compared: Compared, drawn: Drawn, how: Smoothing, scales: Scales) -> None:
    """Say what was done to the points, and which are not drawn."""
    by_run = {
        run.run_id: [own[run.run_id] for own in drawn.curves.values() if run.run_id in own]
        for run in compared.runs
    }
    texts = ["A step is what each run counts: an epoch for runs of the queue, anything for scripts."]
    if drawn.axis in COSTS:
        texts = ["Added up over recorded epochs; what interrupted attempts used besides is in the sum above."]
    texts += [how.sentence + " What was reported is faint behind."] if how.is_on else []
    if lost := without_place(by_run, scales):
        points = "One point at or below zero has" if lost == 1 else f"{lost} points at or below zero have"
        texts.append(f"{points} no place on a log scale.")
    st.caption(" ".join(texts))
    if lacking := left_out(by_run, compared.labels, drawn.axis):
        st.warning(fmt.plain_lines("\n".join(lacking)), icon=":material/visibility_off:")
