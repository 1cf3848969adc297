"""All Plotly figures: data, units and the run's colour. The theme is applied where they are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import tzinfo

import plotly.graph_objects as go

from schema import EpochResult, PowerPoint, Series, Total
from views import format as fmt
from views.look import SOURCE_NAMES, TOTAL_COLOR, run_color, source_color

_MARKERS_UP_TO = 60
# With fewer epochs than that Plotly would label the space between two of them too.
_TICK_EACH_UP_TO = 10
_HEIGHT_PX = 290
# Characters: Plotly cuts what is longer at the edge of the chart, an axis' title at both ends.
_TITLE, _AXIS_TITLE = 48, 28
_DASHES = ("solid", "dot", "dash", "dashdot")
# Where there may be many names: beside the title they would cover it on a phone.
LEGEND_BELOW = {
    "showlegend": True,
    "legend": {"x": 0, "xanchor": "left", "y": -0.3, "yanchor": "top"},
    "margin": {"b": 84},
}


def run_figures(run_id: str, epochs: Sequence[EpochResult], *, is_simulated: bool = False) -> list[str]:
    """Draw the four curves of a run as Plotly JSON: loss, accuracy, energy and CO₂ per epoch.

    An epoch whose energy is unknown is a gap. ``uirevision`` is the run, so that zoom outlives new epochs.
    """
    figures = [
        loss_figure(run_id, epochs),
        accuracy_figure(run_id, epochs),
        energy_figure(run_id, epochs),
        co2blank_figure(run_id, epochs),
    ]
    if is_simulated:
        # In the picture itself, because pictures are passed on.
        for figure in figures:
            figure.update_layout(title_text=f"{figure.layout.title.text} · simulated")
    return [str(figure.to_json()) for figure in figures]


def metric_figure(run_id: str, title: str, series: Mapping[str, Series]) -> go.Figure:
    """Draw metrics that belong together by step; a value that is not finite is a gap."""
    figure = named_figure(run_id, title)
    figure.update_xaxes(title={"text": "step"}, unifiedhovertitle={"text": "step %{x}"})
    for place, (name, own) in enumerate(series.items()):
        figure.add_trace(
            go.Scatter(
                x=own.steps,
                y=[value if math.isfinite(value) else None for value in own.values],
                name=fmt.chart_text(name),
                mode="lines+markers" if len(own.steps) <= _MARKERS_UP_TO else "lines",
                line={"color": run_color(run_id), "width": 2.2, "dash": _DASHES[place % len(_DASHES)]},
                marker={"size": 5},
                connectgaps=False,
                hovertemplate="%{y:.5~g}",
            )
        )
    figure.update_layout(**(LEGEND_BELOW if len(series) > 1 else {"showlegend": False}))
    return figure


def loss_figure(run_id: str, epochs: Sequence[EpochResult]) -> go.Figure:
    """Draw training and test loss."""
    figure = blank_figure(run_id, "Loss", "cross-entropy (nats)")
    _add(figure, run_id, epochs, "train", [result.train_loss for result in epochs], ".4f", is_faint=True)
    _add(figure, run_id, epochs, "test", [result.test_loss for result in epochs], ".4f")
    return figure


def accuracy_figure(run_id: str, epochs: Sequence[EpochResult]) -> go.Figure:
    """Draw training and test accuracy in per cent."""
    figure = blank_figure(run_id, "Accuracy", "accuracy (%)")
    train = [100 * result.train_accuracy for result in epochs]
    test = [100 * result.test_accuracy for result in epochs]
    _add(figure, run_id, epochs, "train", train, ".2f", is_faint=True)
    _add(figure, run_id, epochs, "test", test, ".2f")
    return figure


def energy_figure(run_id: str, epochs: Sequence[EpochResult]) -> go.Figure:
    """Draw the energy of each epoch, in the unit that fits."""
    values_kwh = [result.energy_kwh for result in epochs]
    return _cost_figure(run_id, epochs, "Energy", "energy", fmt.energy_unit(values_kwh), values_kwh)


def co2blank_figure(run_id: str, epochs: Sequence[EpochResult]) -> go.Figure:
    """Draw the CO₂ of each epoch, in the unit that fits."""
    values_g = [result.co2_g for result in epochs]
    return _cost_figure(run_id, epochs, "CO₂", "CO₂", fmt.co2_unit(values_g), values_g)


def energy_figures(
    run_id: str,
    epochs: Sequence[EpochResult],
    points: Sequence[PowerPoint],
    *,
    pue: float,
    zone: tzinfo,
    is_simulated: bool,
) -> tuple[list[str], list[str]]:
    """Draw energy by source and power over time as Plotly JSON; say in sentences which is missing."""
    figures, lacking = [], []
    partial = sum(bool(result.energy_by_source) and result.energy_kwh is None for result in epochs)
    if any(_known_sources(result) for result in epochs):
        figures.append(source_figure(run_id, epochs, pue=pue))
    elif not is_simulated and not partial:
        lacking.append("Energy by source: this run's meter did not tell sources apart.")
    if partial:
        which = "one epoch" if partial == 1 else f"{fmt.count(partial)} epochs"
        lacking.append(f"Energy by source: {which} left out, of which the energy of a source is unknown.")
    if points:
        figures.append(power_figure(run_id, points, zone=zone))
    elif not is_simulated:
        lacking.append("Power over time: none was logged for this run.")
    return [str(figure.to_json()) for figure in figures], lacking


def source_figure(run_id: str, epochs: Sequence[EpochResult], *, pue: float) -> go.Figure:
    """Draw the energy of each epoch by source, stacked; with a PUE above 1 the building's part on top.

    An epoch of which a source is unknown is a gap: the others alone would look like less energy.
    """
    known = [_known_sources(result) for result in epochs]
    sources = sorted({source for own in known for source in own})
    unit = fmt.energy_unit([sum(own.values()) for own in known])
    figure = blank_figure(run_id, "Energy by source", f"energy ({unit.label})")
    parts = {source: [own.get(source) for own in known] for source in sources}
    if pue > 1:
        parts["building"] = [(pue - 1) * sum(own.values()) if own else None for own in known]
    for source, values in parts.items():
        figure.add_trace(
            go.Bar(
                x=[result.epoch for result in epochs],
                y=[None if value is None else value * unit.factor for value in values],
                name=fmt.chart_text(SOURCE_NAMES.get(source, source)),
                marker={"color": source_color(source), "line": {"width": 0}},
                hovertemplate="%{y:.3~g}",
            )
        )
    figure.update_layout(barmode="stack", bargap=0.15, **LEGEND_BELOW)
    if len(epochs) <= _TICK_EACH_UP_TO:
        figure.update_xaxes(dtick=1)
    return figure


def _known_sources(result: EpochResult) -> Mapping[str, float]:
    """Return an epoch's energy by source; nothing when it lacks one, as then its energy is unknown."""
    return (result.energy_by_source or {}) if result.energy_kwh is not None else {}


def power_figure(run_id: str, points: Sequence[PowerPoint], *, zone: tzinfo) -> go.Figure:
    """Draw the power of each source over time, in the reader's zone."""
    figure = blank_figure(run_id, "Power over time", "power (W)")
    sources = sorted({source for point in points for source in point.power_w})
    # Plotly draws times as they are written, without their zone.
    times = [point.at.astimezone(zone).replace(tzinfo=None) for point in points]
    for source in sources:
        figure.add_trace(
            go.Scatter(
                x=times,
                y=[point.power_w.get(source) for point in points],
                name=fmt.chart_text(SOURCE_NAMES.get(source, source)),
                mode="lines",
                line={"color": source_color(source), "width": 1.8},
                connectgaps=False,
                hovertemplate="%{y:.1f} W",
            )
        )
    figure.update_layout(**LEGEND_BELOW)
    figure.update_xaxes(
        title={"text": "time"},
        tickformat=None,
        unifiedhovertitle={"text": "%{x|%H:%M:%S}"},
        nticks=5,
        tickangle=0,
    )
    figure.update_yaxes(rangemode="tozero")
    return figure


def totals_figures(totals: Sequence[Total]) -> list[str]:
    """Draw the energy and the CO₂ of each day as Plotly JSON; a day of which nothing is known is a gap."""
    energy, co2 = [total.real.energy_kwh for total in totals], [total.real.co2_g for total in totals]
    figures = []
    for title, name, unit, values in (
        ("Energy", "energy", fmt.energy_unit(energy), energy),
        ("CO₂", "CO₂", fmt.co2_unit(co2), co2),
    ):
        figure = blank_figure("totals", f"{title} per day", f"{name} ({unit.label})")
        figure.add_trace(
            go.Bar(
                x=[total.name for total in totals],
                y=[None if value is None else value * unit.factor for value in values],
                marker={"color": TOTAL_COLOR, "line": {"width": 0}},
                hovertemplate="%{y:.3~g}",
            )
        )
        figure.update_layout(showlegend=False, bargap=0.2)
        figure.update_xaxes(
            title={"text": "day (UTC)"},
            tickformat="%d %b",
            unifiedhovertitle={"text": "%{x|%a %d %B %Y}"},
            nticks=8,
        )
        figures.append(str(figure.to_json()))
    return figures


def _cost_figure(
    run_id: str,
    epochs: Sequence[EpochResult],
    title: str,
    name: str,
    unit: fmt.Unit,
    values: Sequence[float | None],
) -> go.Figure:
    figure = blank_figure(run_id, f"{title} per epoch", f"{name} ({unit.label})")
    shown = [None if value is None else value * unit.factor for value in values]
    _add(figure, run_id, epochs, name, shown, ".3~g")
    figure.update_layout(showlegend=False)
    figure.update_yaxes(rangemode="tozero")
    if not any(value is not None for value in values):
        figure.update_yaxes(showticklabels=False, showgrid=False)
        figure.add_annotation(
            text="unknown, see below", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
        )
    return figure


def named_figure(key: str, name: str, y_title: str | None = None) -> go.Figure:
    """Return a blank figure of what others named, with as much of the name as fits.

    y_title: the name, where it is None.
    """
    axis = fmt.chart_text(fmt.shorten(name, _AXIS_TITLE)) if y_title is None else y_title
    return blank_figure(key, fmt.chart_text(fmt.shorten(name, _TITLE)), axis)


def blank_figure(run_id: str, title: str, y_title: str) -> go.Figure:
    """Return what all figures share; ``uirevision`` is the run, or whatever a reader's zoom belongs to."""
    return go.Figure(
        layout=go.Layout(
            template=go.layout.Template(),
            title={"text": title, "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 15}},
            uirevision=run_id,
            height=_HEIGHT_PX,
            margin={"l": 58, "r": 14, "t": 48, "b": 52},
            hovermode="x unified",
            legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
            xaxis={
                "title": {"text": "epoch", "standoff": 8},
                "tickformat": "d",
                "unifiedhovertitle": {"text": "epoch %{x}"},
                "showgrid": False,
                "zeroline": False,
            },
            # With a distance Plotly moves the title out of the way of long numbers.
            yaxis={"title": {"text": y_title, "standoff": 8}, "zeroline": False, "exponentformat": "power"},
        )
    )


def _add(
    figure: go.Figure,
    run_id: str,
    epochs: Sequence[EpochResult],
    name: str,
    values: Sequence[float | None],
    digits: str,
    *,
    is_faint: bool = False,
) -> None:
    if len(epochs) <= _TICK_EACH_UP_TO:
        figure.update_xaxes(dtick=1)
    figure.add_trace(
        go.Scatter(
            x=[result.epoch for result in epochs],
            y=list(values),
            name=name,
            mode="lines+markers" if len(epochs) <= _MARKERS_UP_TO else "lines",
            line={
                "color": run_color(run_id),
                "width": 1.5 if is_faint else 2.2,
                "dash": "dot" if is_faint else "solid",
            },
            marker={"size": 4 if is_faint else 5},
            opacity=0.6 if is_faint else 1,
            connectgaps=False,
            hovertemplate=f"%{{y:{digits}}}",
        )
    )
