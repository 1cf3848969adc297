"""The figures of runs as wholes: parallel coordinates, one field against another, groups side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from views import format as fmt
from views.charts import LEGEND_BELOW, blank_figure
from views.compare.charts import Line
from views.compare.fields import Field, Value
from views.compare.groups import Group, Spread
from views.compare.points import Scales
from views.form import number_text

_LEGEND_UP_TO: Final = 6
_HEIGHT_PX: Final = 460
_UNKNOWN_AT: Final = -0.16
_UNKNOWN: Final = "not known"
# Both ends, and all between them, are seen on a light and on a dark page.
_SCALE: Final = ((0.0, (47, 125, 225)), (1.0, (201, 96, 26)))
_HALF_BOX: Final = 0.3
_HALF_CLOUD: Final = 0.18
# Of fewer values quartiles say nothing that the values do not.
BOX_FROM: Final = 4
_GRAY: Final = "#8a8f98"
_HOVER: Final = "%{hovertext}<extra></extra>"


@dataclass(frozen=True)
class Look:
    """How runs are drawn and called. simulated: those of them that are."""

    lines: Mapping[str, Line]
    labels: Mapping[str, str]
    simulated: frozenset[str] = frozenset()

    def marker(self, run_id: str) -> dict[str, Any]:
        """Return the mark of a run: its colour, a shape for its dashes, hollow for a simulated one."""
        line = self.lines[run_id]
        hollow = "-open" if run_id in self.simulated else ""
        return {"color": line.color, "symbol": f"{line.symbol}{hollow}", "size": 10}


def parallel_figure(fields: Sequence[Field], look: Look, by: Field | None) -> go.Figure:
    """Draw each run as a line through its values, each field an axis from its lowest to its highest.

    Words stand at even distances. What a run does not know is below all axes. by: whose values give colours
    from blue, the lowest, to orange; without it each run has its own.
    """
    names = ",".join(field.name for field in fields)
    figure = blank_figure(f"compare:parallel:{names}", "Parallel coordinates", "")
    places = [_places(field) for field in fields]
    for run_id in look.labels:
        figure.add_trace(_across(run_id, fields, places, look, by))
    has_unknown = any(run_id not in own for own in places for run_id in look.labels)
    for number, field in enumerate(fields):
        for at, text in _ticks(field):
            figure.add_annotation(**_label(number, at, text))
    if has_unknown:
        figure.add_annotation(**_label(0, _UNKNOWN_AT, _UNKNOWN))
    if by is not None:
        figure.add_trace(_color_bar(by))
    figure.update_xaxes(
        tickvals=list(range(len(fields))),
        ticktext=[fmt.chart_text(field.title) for field in fields],
        range=[-0.15, len(fields) - 0.6],
        showgrid=True,
        gridwidth=2,
        title=None,
        tickformat=None,
        unifiedhovertitle=None,
    )
    figure.update_yaxes(
        visible=False, range=[(_UNKNOWN_AT if has_unknown else 0) - 0.06, 1.06], fixedrange=True
    )
    figure.update_layout(hovermode="closest", height=_HEIGHT_PX, margin={"l": 28, "r": 20})
    _legend(figure, len(look.labels) if by is None else 0)
    return figure


def scatter_figure(across: Field, up: Field, look: Look, scales: Scales) -> go.Figure:
    """Draw one field of runs against another; a run without one of them has no point."""
    zoom = f"compare:scatter:{across.name}:{up.name}:{scales.log_x}:{scales.log_y}"
    figure = blank_figure(zoom, fmt.chart_text(f"{up.name} against {across.name}"), "")
    shown = [
        run_id for run_id in look.labels if has_place(across, run_id, is_log=scales.log_x)
        and has_place(up, run_id, is_log=scales.log_y)
    ]  # fmt: skip
    for run_id in shown:
        figure.add_trace(
            go.Scatter(
                x=[_on_axis(across, run_id)],
                y=[_on_axis(up, run_id)],
                name=fmt.chart_text(look.labels[run_id]),
                mode="markers",
                marker={**look.marker(run_id), "size": 12},
                customdata=[run_id],
                hovertext=[_hover(run_id, (across, up), look)],
                hovertemplate=_HOVER,
            )
        )
    figure.update_xaxes(**_axis(across, is_log=scales.log_x), showgrid=True, unifiedhovertitle=None)
    figure.update_yaxes(**_axis(up, is_log=scales.log_y))
    figure.update_layout(hovermode="closest", height=_HEIGHT_PX)
    _legend(figure, len(shown))
    return figure


def boxes_figure(
    field: Field, groups: Sequence[tuple[Group, Spread | None]], look: Look, scales: Scales
) -> go.Figure:
    """Draw the runs of each group as points, over the box of those that have enough of them.

    A box goes from the first quartile to the third, with a line at the median and whiskers to the lowest and
    the highest value.
    """
    names = ",".join(group.name for group, _ in groups)
    figure = blank_figure(f"compare:boxes:{field.name}:{names}:{scales.log_y}", f"{field.name} by group", "")
    figure.update_layout(title_text=fmt.chart_text(f"{field.name} by group"))
    spreads = [(number, spread) for number, (_, spread) in enumerate(groups) if spread is not None]
    boxed = [(number, spread) for number, spread in spreads if spread.n >= BOX_FROM]
    figure.add_traces([_boxes(boxed), _whiskers(boxed), _medians(spreads)])
    for run_id in look.labels:
        figure.add_trace(_dots(run_id, field, [group for group, _ in groups], look))
    counts = [0 if spread is None else spread.n for _, spread in groups]
    figure.update_xaxes(
        tickvals=list(range(len(groups))),
        ticktext=[
            f"{fmt.chart_text(group.name)}<br>n = {count}"
            for (group, _), count in zip(groups, counts, strict=True)
        ],
        range=[-0.6, len(groups) - 0.4],
        title=None,
        tickformat=None,
        unifiedhovertitle=None,
    )
    figure.update_yaxes(**_axis(field, is_log=scales.log_y))
    figure.update_layout(hovermode="closest", height=_HEIGHT_PX)
    _legend(figure, len(look.labels))
    return figure


def has_place(field: Field, run_id: str, *, is_log: bool) -> bool:
    """Return whether a run can be drawn on an axis of a field."""
    value = field.values.get(run_id)
    if value is None:
        return False
    return not (is_log and field.is_number and isinstance(value, float) and value <= 0)


def _places(field: Field) -> Mapping[str, float]:
    """Return where each run crosses the axis of a field, from 0 to 1."""
    if field.is_number:
        numbers = field.numbers
        low, high = min(numbers.values()), max(numbers.values())
        return {
            run_id: (value - low) / (high - low) if high > low else 0.5 for run_id, value in numbers.items()
        }
    words = list(field.words)
    most = len(words) - 1
    return {
        run_id: words.index(_word(value)) / most if most else 0.5 for run_id, value in field.values.items()
    }


def _ticks(field: Field) -> list[tuple[float, str]]:
    if not field.is_number:
        most = len(field.words) - 1
        return [(number / most if most else 0.5, word) for number, word in enumerate(field.words)]
    low, high = min(field.numbers.values()), max(field.numbers.values())
    return [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")] if high > low else [(0.5, f"{low:.4g}")]


def _label(number: int, at: float, text: str) -> dict[str, Any]:
    return {
        "x": number,
        "y": at,
        "text": fmt.chart_text(text),
        "showarrow": False,
        "xanchor": "left",
        # Any colour: the page puts its own background there.
        "xshift": 7,
        "bgcolor": "white",
        "borderpad": 1,
        "font": {"size": 11},
        "captureevents": False,
    }


def _across(
    run_id: str, fields: Sequence[Field], places: Sequence[Mapping[str, float]], look: Look, by: Field | None
) -> go.Scatter:
    line = look.lines[run_id]
    color = line.color if by is None else _scale_color(by, run_id)
    return go.Scatter(
        x=list(range(len(fields))),
        y=[own.get(run_id, _UNKNOWN_AT) for own in places],
        name=fmt.chart_text(look.labels[run_id]),
        mode="lines+markers",
        line={"color": color, "dash": line.dash if by is None else "solid", "width": 2},
        marker={"size": 7, "symbol": look.marker(run_id)["symbol"]},
        customdata=[run_id] * len(fields),
        hovertext=[_hover(run_id, (field,), look) for field in fields],
        hovertemplate=_HOVER,
    )


def _scale_color(by: Field, run_id: str) -> str:
    value = by.numbers.get(run_id)
    if value is None:
        return _GRAY
    low, high = min(by.numbers.values()), max(by.numbers.values())
    share = (value - low) / (high - low) if high > low else 0.5
    (_, first), (_, last) = _SCALE
    parts = [round(a + share * (b - a)) for a, b in zip(first, last, strict=True)]
    return f"rgb({parts[0]},{parts[1]},{parts[2]})"


def _color_bar(by: Field) -> go.Scatter:
    """Return a trace without a point, whose colours are those of the lines."""
    low, high = min(by.numbers.values()), max(by.numbers.values())
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker={
            "color": [low],
            "cmin": low,
            "cmax": high if high > low else low + 1,
            "colorscale": [[at, f"rgb{color}"] for at, color in _SCALE],
            "showscale": True,
            "colorbar": {
                "title": {"text": fmt.chart_text(by.title), "side": "top", "font": {"size": 11}},
                "orientation": "h",
                "thickness": 10,
                "len": 0.5,
                "x": 0,
                "xanchor": "left",
                "y": -0.24,
                "yanchor": "top",
                "nticks": 4,
                "outlinewidth": 0,
            },
        },
    )


def _boxes(boxed: Sequence[tuple[int, Spread]]) -> go.Scatter:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for number, spread in boxed:
        left, right = number - _HALF_BOX, number + _HALF_BOX
        low, high = spread.first_quartile, spread.third_quartile
        xs += [left, right, right, left, left, None]
        ys += [low, low, high, high, low, None]
    return _shape(xs, ys, fill="toself", fillcolor="rgba(138,143,152,0.22)", width=1)


def _whiskers(boxed: Sequence[tuple[int, Spread]]) -> go.Scatter:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for number, spread in boxed:
        xs += [number, number, None, number, number, None]
        ys += [spread.low, spread.first_quartile, None, spread.third_quartile, spread.high, None]
    return _shape(xs, ys, width=1)


def _medians(spreads: Sequence[tuple[int, Spread]]) -> go.Scatter:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for number, spread in spreads:
        xs += [number - _HALF_BOX, number + _HALF_BOX, None]
        ys += [spread.median, spread.median, None]
    return _shape(xs, ys, width=3)


def _shape(xs: Sequence[float | None], ys: Sequence[float | None], *, width: int, **more: Any) -> go.Scatter:
    return go.Scatter(
        x=list(xs),
        y=list(ys),
        mode="lines",
        line={"color": _GRAY, "width": width},
        hoverinfo="skip",
        showlegend=False,
        connectgaps=False,
        **more,
    )


def _dots(run_id: str, field: Field, groups: Sequence[Group], look: Look) -> go.Scatter:
    known = field.numbers
    at = [
        (number + _offset(group, run_id), known[run_id])
        for number, group in enumerate(groups)
        if run_id in group.run_ids and run_id in known
    ]
    return go.Scatter(
        x=[x for x, _ in at],
        y=[y for _, y in at],
        name=fmt.chart_text(look.labels[run_id]),
        mode="markers",
        marker=look.marker(run_id),
        customdata=[run_id] * len(at),
        hovertext=[_hover(run_id, (field,), look)] * len(at),
        hovertemplate=_HOVER,
    )


def _offset(group: Group, run_id: str) -> float:
    """Return how far beside the middle of its group a run stands, so that equal ones are told apart."""
    most = len(group.run_ids) - 1
    return _HALF_CLOUD * (2 * group.run_ids.index(run_id) / most - 1) if most else 0.0


def _axis(field: Field, *, is_log: bool) -> dict[str, Any]:
    title = fmt.chart_text(field.title)
    if not field.is_number:
        words = [fmt.chart_text(word) for word in field.words]
        return {"title": {"text": title}, "type": "category", "categoryarray": words, "tickformat": None}
    if is_log:
        return {"title": {"text": f"{title}, log"}, "type": "log", "tickformat": "~g", "nticks": 8}
    return {"title": {"text": title}, "tickformat": None}


def _on_axis(field: Field, run_id: str) -> Value:
    value = field.values[run_id]
    return value if field.is_number else fmt.chart_text(_word(value))


def _word(value: Value) -> str:
    return value if isinstance(value, str) else number_text(value)


def _hover(run_id: str, fields: Sequence[Field], look: Look) -> str:
    words = [fmt.chart_text(look.labels[run_id])]
    for field in fields:
        value = field.values.get(run_id)
        text = _UNKNOWN if value is None else f"{value:.5g}" if isinstance(value, float) else value
        words.append(fmt.chart_text(f"{field.title}: {text}"))
    return "<br>".join(words)


def _legend(figure: go.Figure, count: int) -> None:
    is_shown = 0 < count <= _LEGEND_UP_TO
    figure.update_layout(**(LEGEND_BELOW if is_shown else {"showlegend": False}))
    figure.update_layout(legend={"y": -0.2})
