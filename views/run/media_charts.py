"""The Plotly figures of histograms over time: as ridges, and as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from views.charts import named_figure
from views.histograms import Shares, choose_rows
from views.look import run_color

_MOST_RIDGES = 24
_MOST_LABELS = 8
# How far a ridge may rise into the ones behind it, in rows.
_RISE = 2.6
_RIDGES_PX, _HEAT_MAP_PX = 430, 360


def ridges_figure(run_id: str, name: str, steps: Sequence[int], spread: Shares) -> str:
    """Draw the histogram of each step as a ridge, the newest in front, as Plotly JSON.

    Of many steps some are shown, evenly chosen, the first and the newest among them.
    """
    figure = named_figure(f"{run_id}:{name}", name, "step")
    rows = choose_rows(len(steps), _MOST_RIDGES)
    highest = max((share for row in rows for share in _known(spread, row)), default=0.0) or 1.0
    for place, row in enumerate(rows):
        base = float(len(rows) - 1 - place)
        age = 1.0 if len(rows) == 1 else place / (len(rows) - 1)
        _add_ridge(figure, run_id, spread, row, base=base, highest=highest, step=steps[row], age=age)
    labelled = choose_rows(len(rows), _MOST_LABELS)
    figure.update_layout(showlegend=False, hovermode="closest", height=_RIDGES_PX)
    figure.update_xaxes(title={"text": "value"}, tickformat=None, showgrid=True)
    figure.update_yaxes(
        tickvals=[len(rows) - 1 - place for place in labelled],
        ticktext=[str(steps[rows[place]]) for place in labelled],
        showgrid=False,
        range=[-0.4, len(rows) - 1 + _RISE + 0.2],
    )
    return str(figure.to_json())


def heat_map_figure(run_id: str, name: str, steps: Sequence[int], spread: Shares) -> go.Figure:
    """Draw how the values are spread at each step: the more of them, the stronger the colour."""
    figure = named_figure(f"{run_id}:{name}", name, "value")
    color = run_color(run_id)
    figure.add_trace(
        go.Heatmap(
            x=[str(step) for step in steps],
            y=spread.centres,
            z=100 * spread.shares.T,
            # From nothing to the run's colour: it is right on either background.
            colorscale=[(0.0, _rgba(color, 0.0)), (0.25, _rgba(color, 0.45)), (1.0, color)],
            colorbar={"title": {"text": "% of values"}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="step %{x}<br>about %{y:.4~g}: %{z:.2f} %<extra></extra>",
            hoverongaps=False,
        )
    )
    figure.update_layout(hovermode="closest", height=_HEAT_MAP_PX)
    figure.update_xaxes(title={"text": "step"}, type="category", nticks=12, tickangle=0)
    figure.update_yaxes(showgrid=False)
    return figure


def _add_ridge(
    figure: go.Figure,
    run_id: str,
    spread: Shares,
    row: int,
    *,
    base: float,
    highest: float,
    step: int,
    age: float,
) -> None:
    """Add the ridge of a step over its base line; ``age`` is 0 for the first, 1 for the newest."""
    if not _known(spread, row):
        return
    color = run_color(run_id)
    shares = [float(share) for share in spread.shares[row]]
    centres = [float(centre) for centre in spread.centres]
    line = {"color": _rgba(color, 0.45 + 0.55 * age), "width": 1.2 + 0.8 * age}
    figure.add_trace(
        go.Scatter(
            x=[centres[0], centres[-1]], y=[base, base], mode="lines", line={"width": 0}, hoverinfo="skip"
        )
    )
    figure.add_trace(
        go.Scatter(
            x=centres,
            y=[base + _RISE * share / highest for share in shares],
            mode="lines",
            line=line,
            fill="tonexty",
            fillcolor=_rgba(color, 0.10 + 0.16 * age),
            customdata=[100 * share for share in shares],
            hovertemplate=f"step {step}<br>about %{{x:.4~g}}: %{{customdata:.2f}} %<extra></extra>",
        )
    )


def _known(spread: Shares, row: int) -> list[float]:
    """Return the shares of a step; nothing where it has no finite value."""
    return [float(share) for share in spread.shares[row] if share == share]


def _rgba(color: str, alpha: float) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:.2f})"
