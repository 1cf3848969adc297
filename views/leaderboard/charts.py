"""The Plotly figure of the leaderboard: accuracy against what it cost, and who is on the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import plotly.graph_objects as go

from schema.leaderboard import CostField, Front, LeaderboardReply, LeaderboardRow
from views import format as fmt
from views.charts import LEGEND_BELOW, blank_figure
from views.look import RUN_COLORS, SIMULATED

COST_NAMES: Final[Mapping[CostField, str]] = {
    CostField.CO2_G: "CO₂",
    CostField.ENERGY_KWH: "energy",
    CostField.DURATION_S: "duration",
    CostField.PARAMETERS: "parameters",
}
UNNAMED: Final = "no network named"
_OTHERS_COLOR = "#8a8f98"
_HEIGHT_PX = 520
_LEGEND_Y = -0.16
# Costs that differ by less are read better on an even axis.
_LOG_FROM = 20
_HOVER = "%{hovertext}<extra></extra>"


def front_figure(reply: LeaderboardReply, cost: CostField) -> str:
    """Draw the rows of a page and the whole front as Plotly JSON; each point carries the id of its run.

    A run whose cost is unknown has no point. Filled circles are measured energy, diamonds what is estimated
    or nobody said; simulated runs are hollow.
    """
    front = next(each for each in reply.fronts if each.cost is cost)
    rows = [row for row in reply.rows if cost_of(row, cost) is not None]
    values = [*(cost_of(row, cost) for row in rows), *(point.cost for point in front.points)]
    unit = unit_of(cost, values)
    name = COST_NAMES[cost]
    figure = blank_figure(f"leaderboard:{cost}", f"Accuracy against {name}", "test accuracy (%)")
    for network, color in _colors(reply):
        own = [row for row in rows if row.network == network]
        if own:
            figure.add_trace(_points(own, fmt.chart_text(network or UNNAMED), color, cost, unit))
    figure.add_trace(_front_line(front, unit))
    label = f"{name} ({unit.label})" if unit.label else name
    known = [value for value in values if value is not None]
    is_log = bool(known) and min(known) > 0 and max(known) > _LOG_FROM * min(known)
    figure.update_xaxes(
        title={"text": f"{label}, log" if is_log else label, "standoff": 8},
        type="log" if is_log else "linear",
        rangemode="normal" if is_log else "nonnegative",
        tickformat=None,
        dtick="D2" if is_log else None,
        unifiedhovertitle=None,
        showgrid=True,
    )
    figure.update_layout(**LEGEND_BELOW)
    figure.update_layout(hovermode="closest", height=_HEIGHT_PX, legend_y=_LEGEND_Y)
    return str(figure.to_json())


def unit_of(cost: CostField, values: Iterable[float | None]) -> fmt.Unit:
    """Choose one unit in which all the costs read well."""
    match cost:
        case CostField.CO2_G:
            return fmt.co2_unit(values)
        case CostField.ENERGY_KWH:
            return fmt.energy_unit(values)
        case CostField.DURATION_S:
            return fmt.time_unit(values)
        case CostField.PARAMETERS:
            return fmt.Unit("", 1.0)


def cost_of(row: LeaderboardRow, cost: CostField) -> float | None:
    """Return what a run cost."""
    value: float | None = getattr(row, cost.value)
    return value


def _colors(reply: LeaderboardReply) -> Sequence[tuple[str | None, str]]:
    """Give each network of the dataset a colour, whatever is filtered; those of fewest runs share one."""
    networks = sorted(choice.value or "" for choice in reply.networks[: len(RUN_COLORS)])
    known = dict(zip(networks, RUN_COLORS, strict=False))
    every = dict.fromkeys(
        [*(choice.value for choice in reply.networks), *(row.network for row in reply.rows)]
    )
    return [(network, known.get(network or "", _OTHERS_COLOR)) for network in every]


def _points(
    rows: Sequence[LeaderboardRow], name: str, color: str, cost: CostField, unit: fmt.Unit
) -> go.Scatter:
    return go.Scatter(
        x=[(cost_of(row, cost) or 0.0) * unit.factor for row in rows],
        y=[100 * row.accuracy for row in rows],
        name=name,
        mode="markers",
        marker={
            "color": color,
            "size": [11 if cost in row.fronts else 8 for row in rows],
            "symbol": [_symbol(row) for row in rows],
            "opacity": 0.85,
        },
        customdata=[row.run_id for row in rows],
        hovertext=[_hover(row, cost, unit) for row in rows],
        hovertemplate=_HOVER,
    )


def _front_line(front: Front, unit: fmt.Unit) -> go.Scatter:
    """Draw the front as stairs: up to the next run's cost, no run is more accurate."""
    return go.Scatter(
        x=[point.cost * unit.factor for point in front.points],
        y=[100 * point.accuracy for point in front.points],
        name="Pareto front",
        mode="lines+markers",
        line={"shape": "hv", "color": _OTHERS_COLOR, "width": 2},
        marker={"size": 4},
        customdata=[point.run_id for point in front.points],
        hovertext=[
            f"{fmt.chart_text(point.network or UNNAMED)} · {point.run_id[:8]}, on the front"
            for point in front.points
        ],
        hovertemplate="%{hovertext}<br>%{y:.2f} %, %{x:.3~g} " + unit.label + "<extra></extra>",
    )


def _symbol(row: LeaderboardRow) -> str:
    symbol = "circle" if row.energy_quality in ("measured", "simulated") else "diamond"
    return f"{symbol}-open" if row.simulated else symbol


def _hover(row: LeaderboardRow, cost: CostField, unit: fmt.Unit) -> str:
    value = (cost_of(row, cost) or 0.0) * unit.factor
    words = [f"{fmt.chart_text(row.network or row.name or UNNAMED)} · {row.run_id[:8]}"]
    words.append(f"{100 * row.accuracy:.2f} % · {fmt.significant(value)} {unit.label}".rstrip())
    words += [SIMULATED] if row.simulated else [f"energy {row.energy_quality}"] if row.energy_quality else []
    return "<br>".join(words)
