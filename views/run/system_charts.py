"""The figures of how busy a machine was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Final

import plotly.graph_objects as go

from schema import Series
from views import format as fmt
from views.charts import blank_figure
from views.look import RUN_COLORS

_HEIGHT_PX: Final = 240
_MARKERS_UP_TO: Final = 60


def system_figure(
    run_id: str,
    title: str,
    unit: str,
    series: Mapping[str, Series],
    *,
    zone: tzinfo,
    is_share: bool = False,
    factor: float = 1,
) -> go.Figure:
    """Draw metrics over time, in the reader's zone; a share has the whole scale, so that half is half.

    factor: from the unit that is stored to ``unit``.
    """
    figure = blank_figure(run_id, title, unit)
    for place, (name, own) in enumerate(series.items()):
        color = RUN_COLORS[place % len(RUN_COLORS)]
        known = [
            (_local(time, zone), value * factor if math.isfinite(value) else None)
            for time, value in zip(own.times, own.values, strict=True)
            if time is not None
        ]
        figure.add_trace(
            go.Scatter(
                x=[time for time, _ in known],
                y=[value for _, value in known],
                name=fmt.chart_text(name),
                mode="lines+markers" if len(known) <= _MARKERS_UP_TO else "lines",
                line={"color": color, "width": 1.8},
                marker={"size": 4},
                connectgaps=False,
                hovertemplate=f"%{{y:.4~g}} {unit}",
            )
        )
    figure.update_layout(height=_HEIGHT_PX, showlegend=len(series) > 1)
    _set_axes(figure, is_share=is_share)
    return figure


def _set_axes(figure: go.Figure, *, is_share: bool) -> None:
    figure.update_xaxes(
        title=None, tickformat=None, unifiedhovertitle={"text": "%{x|%d %b %H:%M:%S}"}, nticks=6
    )
    # A little above all of it: a line at the edge would be cut in half.
    share = {"range": [0, 103], "tickvals": [0, 25, 50, 75, 100]}
    figure.update_yaxes(**(share if is_share else {"rangemode": "tozero"}))


def _local(seconds: float, zone: tzinfo) -> datetime:
    # Plotly draws times as they are written, without their zone.
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).replace(tzinfo=None)
