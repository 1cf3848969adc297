"""What a run's own script reports: its metrics as charts and a table."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import streamlit as st

from schema import MetricSummary, RunReply, Series
from views import format as fmt
from views import source
from views.charts import metric_figure
from views.live_chart import live_charts
from views.run import details, extras, log, system, words

# How people say of which split a figure is: the loss of each is one chart.
_SPLITS: Final = "train|training|val|valid|validation|test|eval"
_SPLIT: Final = re.compile(rf"^({_SPLITS})[_./-]+(?=.)|(?<=.)[_./-]+({_SPLITS})$")
_SYSTEM: Final = "system/"
_CHARTS_AT_FIRST: Final = 8
_NAMES_PER_CALL: Final = 20


def show(run: RunReply) -> None:
    """Draw the charts and what stands below them."""
    known = source.fetch("metrics", lambda: source.list_metrics(run.run_id), of=run.run_id).value or []
    own = [metric for metric in known if not metric.name.startswith(_SYSTEM)]
    if own:
        _charts(run, own)
    else:
        text = "It has reported no metric." if run.status.is_final else "Its first metric has not come yet."
        st.info(text, icon=":material/show_chart:")
    extras.show(run)
    names = ["Metrics", "Parameters", "Environment", "Log", "Notes", "System"]
    tabs = st.tabs(names, key=f"tabs:{run.run_id}", on_change="rerun")
    with tabs[0]:
        _table(own)
    with tabs[1]:
        details.parameters(run)
    with tabs[2]:
        details.environment(run)
    with tabs[3]:
        log.show(run)
    with tabs[4]:
        words.notes(run)
    with tabs[5]:
        if tabs[5].open:
            system.show(run)


def group_names(names: Sequence[str]) -> dict[str, list[str]]:
    """Put metrics together that are one figure of several splits, those of the machine last."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (name.startswith(_SYSTEM), name)):
        groups.setdefault(_SPLIT.sub("", name), []).append(name)
    return groups


def gaps_text(series: Mapping[str, Series]) -> str:
    """Say which values are not numbers, and so are gaps in a chart; "" when there are none."""
    counts = {name: sum(not math.isfinite(value) for value in own.values) for name, own in series.items()}
    parts = [f"{name} ({fmt.count(count)})" for name, count in counts.items() if count]
    return f"Gaps are values that are NaN or infinite: {', '.join(parts)}." if parts else ""


def _charts(run: RunReply, known: Sequence[MetricSummary]) -> None:
    groups = group_names([metric.name for metric in known])
    chosen = list(groups)
    if len(groups) > _CHARTS_AT_FIRST:
        chosen = st.multiselect(
            "Charts",
            list(groups),
            default=list(groups)[:_CHARTS_AT_FIRST],
            key=f"metric_charts:{run.run_id}",
            placeholder="Choose metrics to see",
        )
    series = _read(run, known, {name for group in chosen for name in groups[group]})
    figures = [
        str(metric_figure(run.run_id, group, {name: series[name] for name in groups[group]}).to_json())
        for group in chosen
        if all(name in series for name in groups[group])
    ]
    live_charts(figures, key=f"charts:{run.run_id}")
    if text := gaps_text(series):
        st.caption(fmt.plain(text))
    if any(own.is_downsampled for own in series.values()):
        st.caption("Long curves show a choice of their points, peaks included.")


def _read(run: RunReply, known: Sequence[MetricSummary], wanted: set[str]) -> dict[str, Series]:
    """Return the points of metrics; those of a metric are asked for anew when it has more."""
    found: dict[str, Series] = {}
    shown = [metric for metric in known if metric.name in wanted]
    for start in range(0, len(shown), _NAMES_PER_CALL):
        part = shown[start : start + _NAMES_PER_CALL]
        names = tuple(metric.name for metric in part)
        version = ",".join(str(metric.count) for metric in part)
        ask = partial(source.read_metrics, run.run_id, names, version)
        asked = source.fetch(f"points:{names[0]}", ask, of=(run.run_id, names))
        found |= asked.value or {}
    return found


def _table(known: Sequence[MetricSummary]) -> None:
    if not known:
        st.caption("No metric yet.")
        return
    rows = [
        {
            "Metric": metric.name,
            "Points": metric.count,
            "Last step": str(metric.last_step),
            "Last": f"{metric.last_value:.6g}",
            "Lowest": fmt.MISSING if metric.min is None else f"{metric.min:.6g}",
            "Highest": fmt.MISSING if metric.max is None else f"{metric.max:.6g}",
        }
        for metric in known
    ]
    figures = {
        name: st.column_config.TextColumn(alignment="right")
        for name in rows[0]
        if name not in ("Metric", "Points")
    }
    st.dataframe(rows, hide_index=True, height="content" if len(rows) <= 20 else 600, column_config=figures)
