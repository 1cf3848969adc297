"""How the values of weights, gradients and the like are spread, over the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import streamlit as st

from schema import HistogramSeries, RunReply
from views import artifact_source, source
from views import format as fmt
from views.histograms import on_one_scale
from views.live_chart import live_charts
from views.run.media_charts import heat_map_figure, ridges_figure

_SHOWN_AT_FIRST: Final = 4
_MOST_SHOWN: Final = 12
_RIDGES, _HEAT_MAP = "Ridges", "Heat map"
_QUIET_CHART: Final = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}


def show(run: RunReply, counts: Mapping[str, int]) -> None:
    """Draw the histograms that the reader chooses; counts: how many came of each name."""
    names = list(counts)
    left, right = st.columns([4, 1.4], vertical_alignment="bottom")
    chosen = names
    if len(names) > _SHOWN_AT_FIRST:
        chosen = left.multiselect(
            "Histograms",
            names,
            default=names[:_SHOWN_AT_FIRST],
            max_selections=_MOST_SHOWN,
            key=f"histogram_names:{run.run_id}",
            placeholder="Choose histograms to see",
        )
    look = right.segmented_control(
        "Drawn as",
        [_RIDGES, _HEAT_MAP],
        default=_RIDGES,
        required=True,
        key=f"histogram_look:{run.run_id}",
        label_visibility="collapsed",
    )
    found = {name: _read(run, name, counts[name]) for name in chosen}
    series = {name: own for name, own in found.items() if own is not None and own.steps}
    if look == _HEAT_MAP:
        _heat_maps(run, series)
    else:
        drawn = {name: _ridges(run.run_id, name, _version(own), own) for name, own in series.items()}
        live_charts([figure for figure in drawn.values() if figure], key=f"histograms:{run.run_id}")
    if text := nonfinite_text(series):
        st.caption(fmt.plain(text))


def nonfinite_text(series: dict[str, HistogramSeries]) -> str:
    """Say of which histograms values are left out because they are no numbers; "" when of none."""
    parts = []
    for name, own in series.items():
        steps = [step for step, count in zip(own.steps, own.nonfinite, strict=True) if count]
        if steps:
            most = max(own.nonfinite)
            where = (
                f"at step {steps[0]}" if len(steps) == 1 else f"at {len(steps)} steps, first at {steps[0]}"
            )
            parts.append(f"{name} ({where}, up to {fmt.count(most)} values)")
    return f"Values that are NaN or infinite are left out: {', '.join(parts)}." if parts else ""


def _read(run: RunReply, name: str, count: int) -> HistogramSeries | None:
    return source.fetch(
        f"histogram:{name}",
        lambda: artifact_source.read_histogram(run.run_id, name, count),
        of=(run.run_id, name),
    ).value


def _version(series: HistogramSeries) -> str:
    return f"{len(series.steps)}:{series.steps[-1]}:{series.times[-1]}"


def _heat_maps(run: RunReply, series: dict[str, HistogramSeries]) -> None:
    columns = st.columns(2) if len(series) > 1 else [st.container()]
    spreads = {name: on_one_scale(own.edges, own.counts) for name, own in series.items()}
    known = {name: spread for name, spread in spreads.items() if spread is not None}
    for place, (name, spread) in enumerate(known.items()):
        with columns[place % len(columns)].container(border=True):
            st.plotly_chart(
                heat_map_figure(run.run_id, name, series[name].steps, spread),
                key=f"heat_map:{run.run_id}:{name}",
                config=_QUIET_CHART,
            )


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def _ridges(iid: str, name: str, version: str, _series: HistogramSeries) -> str | None:  # noqa: ARG001 - version is a key of the cache
    """Draw ridges anew only when there is another step; None when no value was a finite number."""
    spread = on_one_scale(_series.edges, _series.counts)
    return None if spread is None else ridges_figure(iid, name, _series.steps, spread)
