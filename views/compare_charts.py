"""The figures of several runs beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

import plotly.graph_objects as go

from schema import Series
from views import format as fmt
from views.charts import LEGEND_BELOW, blank_figure
from views.look import run_color

Axis = Literal["step", "time"]

_MARKERS_UP_TO: Final = 40
_LEGEND_UP_TO: Final = 6
_HEIGHT_PX: Final = 340
# In the order in which runs of one colour are told apart, and how a browser draws each in a swatch.
_DASHES: Final = {"solid": "", "dash": "6 3", "dot": "2 2", "dashdot": "6 2 2 2", "longdash": "10 3"}


@dataclass(frozen=True)
class Line:
    """How a run is drawn, the same in each chart and in the table."""

    color: str
    dash: str

    @property
    def swatch(self) -> str:
        """The line as a picture for a table cell, a data URL."""
        return (
            "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='36' height='24'>"
            f"<line x1='2' x2='34' y1='12' y2='12' stroke='{quote(self.color)}' stroke-width='4' "
            f"stroke-dasharray='{_DASHES[self.dash]}'/></svg>"
        )


def lines_of(run_ids: Sequence[str]) -> dict[str, Line]:
    """Give each run its own colour, which it has on every page, and runs of one colour another dash each."""
    lines: dict[str, Line] = {}
    for run_id in run_ids:
        color = run_color(run_id)
        alike = sum(line.color == color for line in lines.values())
        lines[run_id] = Line(color, list(_DASHES)[alike % len(_DASHES)])
    return lines


def compare_figure(
    name: str,
    series: Mapping[str, Series],
    *,
    axis: Axis,
    starts_s: Mapping[str, float],
    lines: Mapping[str, Line],
    labels: Mapping[str, str],
) -> go.Figure:
    """Draw one metric of several runs, by step or by the time since each began.

    series, starts_s: by run. A value that is not finite is a gap; by time, a point without one is left out.
    """
    figure = blank_figure(f"compare:{name}:{axis}", fmt.chart_text(name), "")
    points = {run_id: _points(own, axis, starts_s.get(run_id, 0.0)) for run_id, own in series.items()}
    unit = fmt.time_unit(x for own in points.values() for x, _ in own)
    factor = unit.factor if axis == "time" else 1
    for run_id, own in points.items():
        figure.add_trace(
            go.Scatter(
                x=[x * factor for x, _ in own],
                y=[y for _, y in own],
                name=fmt.chart_text(labels[run_id]),
                mode="lines+markers" if len(own) <= _MARKERS_UP_TO else "lines",
                line={"color": lines[run_id].color, "dash": lines[run_id].dash, "width": 2},
                marker={"size": 4},
                connectgaps=False,
                hovertemplate="%{y:.5~g}",
            )
        )
    _label_axis(figure, axis, unit.label)
    has_legend = len(series) <= _LEGEND_UP_TO
    figure.update_layout(height=_HEIGHT_PX, **(LEGEND_BELOW if has_legend else {"showlegend": False}))
    return figure


def _label_axis(figure: go.Figure, axis: Axis, unit: str) -> None:
    if axis == "time":
        title, hover = f"time since the start ({unit})", f"%{{x:.3~f}} {unit}"
        figure.update_xaxes(tickformat=None, rangemode="tozero")
    else:
        title, hover = "step", "step %{x}"
    figure.update_xaxes(title={"text": title}, unifiedhovertitle={"text": hover})


def _points(own: Series, axis: Axis, start_s: float) -> list[tuple[float, float | None]]:
    values = [value if math.isfinite(value) else None for value in own.values]
    if axis == "step":
        return list(zip(map(float, own.steps), values, strict=True))
    timed = zip(own.times, values, strict=True)
    # Steps may come in any order: a line goes through its points as time passes.
    return sorted(((time - start_s, value) for time, value in timed if time is not None), key=lambda p: p[0])
