"""The figures of several runs beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import plotly.graph_objects as go

from views import format as fmt
from views.charts import LEGEND_BELOW, named_figure
from views.compare.bands import Band, bands_of
from views.compare.groups import Group
from views.compare.points import Axis, Curve, Scales, cut
from views.look import run_color

_MARKERS_UP_TO: Final = 40
_LEGEND_UP_TO: Final = 6
_HEIGHT_PX: Final = 340
_FAINT: Final = 0.3
_BAND: Final = 0.18
_TITLES: Final[Mapping[Axis, str]] = {
    "time": "time since the start",
    "energy_kwh": "energy used until then",
    "co2_g": "CO₂ caused until then",
}
_UNITS: Final[Mapping[Axis, Callable[[Iterable[float | None]], fmt.Unit]]] = {
    "step": lambda _: fmt.Unit("", 1.0),
    "time": fmt.time_unit,
    "energy_kwh": fmt.energy_unit,
    "co2_g": fmt.co2_unit,
}


class _Dash(NamedTuple):
    """How a browser draws a dash in a swatch, and the mark of a run that has it."""

    path: str
    symbol: str


# In the order in which runs of one colour are told apart.
_DASHES: Final = {
    "solid": _Dash("", "circle"),
    "dash": _Dash("6 3", "square"),
    "dot": _Dash("2 2", "diamond"),
    "dashdot": _Dash("6 2 2 2", "triangle-up"),
    "longdash": _Dash("10 3", "triangle-down"),
}
_SHAPES: Final = {
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "square": "M-5 -5h10v10h-10z",
    "diamond": "M0 -7L7 0L0 7L-7 0z",
    "triangle-up": "M0 -6L6 5H-6z",
    "triangle-down": "M0 6L6 -5H-6z",
}


@dataclass(frozen=True)
class Line:
    """How a run is drawn, the same in each chart and in the table."""

    color: str
    dash: str

    @property
    def swatch(self) -> str:
        """The line as a picture for a table cell, a data URL."""
        color = quote(self.color)
        return (
            "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='36' height='24'>"
            f"<line x1='2' x2='34' y1='12' y2='12' stroke='{color}' stroke-width='4' "
            f"stroke-dasharray='{_DASHES[self.dash].path}'/>"
            f"<path d='{_SHAPES[self.symbol]}' transform='translate(18 12)' fill='{color}'/></svg>"
        )

    @property
    def symbol(self) -> str:
        """The mark of the run where it is one point, and no dashes can be seen."""
        return _DASHES[self.dash].symbol


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
    curves: Mapping[str, Curve],
    *,
    axis: Axis,
    scales: Scales,
    lines: Mapping[str, Line],
    labels: Mapping[str, str],
    groups: Sequence[Group] = (),
) -> go.Figure:
    """Draw one metric of several runs; smoothed curves with what was reported faint behind them.

    groups: those of at least two runs are drawn as a median in a band, their runs faint behind it.
    curves: by run. A value that is not finite is a gap, and so is what has no place on a logarithmic scale.
    """
    zoom = f"compare:{name}:{axis}:{scales.log_x}:{scales.log_y}"
    figure = named_figure(zoom, name)
    unit = _UNITS[axis](x for own in curves.values() for x in own.xs)
    shown = {run_id: cut(own, scales) for run_id, own in curves.items()}
    bands = bands_of(groups, shown)
    grouped = {run_id for band in bands for run_id in band.run_ids}
    for run_id, own in shown.items():
        if own.smoothed != own.values or run_id in grouped:
            figure.add_trace(_raw(own, unit, lines[run_id]))
    for run_id, own in shown.items():
        if run_id not in grouped:
            figure.add_trace(_line(own, unit, lines[run_id], labels[run_id]))
    for band in bands:
        figure.add_traces(_band(band, unit, lines[band.run_ids[0]]))
    _label_axis(figure, axis, unit.label, scales)
    if scales.log_y:
        figure.update_yaxes(type="log", tickformat="~g", nticks=6)
    has_legend = len(shown.keys() - grouped) + len(bands) <= _LEGEND_UP_TO
    figure.update_layout(height=_HEIGHT_PX, **(LEGEND_BELOW if has_legend else {"showlegend": False}))
    return figure


def _line(own: Curve, unit: fmt.Unit, line: Line, label: str) -> go.Scatter:
    return go.Scatter(
        x=[x * unit.factor for x in own.xs],
        y=list(own.smoothed),
        name=fmt.chart_text(label),
        mode="lines+markers" if len(own.xs) <= _MARKERS_UP_TO else "lines",
        line={"color": line.color, "dash": line.dash, "width": 2},
        marker={"size": 4},
        connectgaps=False,
        hovertemplate="%{y:.5~g}",
    )


def _raw(own: Curve, unit: fmt.Unit, line: Line) -> go.Scatter:
    """Return what was reported, which no legend and no hover names: the smoothed curve does."""
    return go.Scatter(
        x=[x * unit.factor for x in own.xs],
        y=list(own.values),
        mode="lines",
        line={"color": line.color, "width": 1},
        opacity=_FAINT,
        connectgaps=False,
        hoverinfo="skip",
        showlegend=False,
    )


def _band(band: Band, unit: fmt.Unit, line: Line) -> list[go.Scatter]:
    """Return the edges of a band, filled, and the median in it."""
    xs = [x * unit.factor for x in band.xs]
    edge: dict[str, Any] = {"x": xs, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    red, green, blue = (int(line.color[at : at + 2], 16) for at in (1, 3, 5))
    name = fmt.chart_text(f"{band.name}, n = {len(band.run_ids)}")
    return [
        go.Scatter(**edge, y=list(band.low), showlegend=False),
        go.Scatter(
            **edge, y=list(band.high), showlegend=False,
            fill="tonexty", fillcolor=f"rgba({red},{green},{blue},{_BAND})",
        ),
        go.Scatter(
            x=xs, y=list(band.middle), name=name, mode="lines",
            line={"color": line.color, "dash": line.dash, "width": 3},
            customdata=list(zip(band.low, band.high, strict=True)),
            hovertemplate="%{y:.5~g} (%{customdata[0]:.5~g} – %{customdata[1]:.5~g})",
        ),
    ]  # fmt: skip


def _label_axis(figure: go.Figure, axis: Axis, unit: str, scales: Scales) -> None:
    if axis == "step":
        title, hover = "step", "step %{x}"
    else:
        title, hover = f"{_TITLES[axis]} ({unit})", f"%{{x:.3~g}} {unit}"
        figure.update_xaxes(tickformat=None, rangemode="tozero")
    if scales.log_x:
        figure.update_xaxes(type="log", tickformat="~g", rangemode="normal", nticks=6)
        title += ", log"
    figure.update_xaxes(title={"text": title}, unifiedhovertitle={"text": hover})
