"""The figures of a sweep: what Optuna draws, in the look, words and units of the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from views import format as fmt
from views.charts import LEGEND_BELOW, blank_figure
from views.look import RUN_COLORS

_PERCENT: Final = fmt.Unit("%", 100.0)
# Of axes, by what the API calls them: our name, and how the unit is chosen.
_UNITS: Final[Mapping[str, tuple[str, Callable[[Iterable[float | None]], fmt.Unit]]]] = {
    "Validation accuracy": ("validation accuracy", lambda _: _PERCENT),
    "Test accuracy": ("test accuracy", lambda _: _PERCENT),
    "CO₂ (g)": ("CO₂", fmt.co2_unit),
    "Energy (kWh)": ("energy", fmt.energy_unit),
    "Duration (s)": ("duration", fmt.time_unit),
}
_WORDS: Final[Mapping[str, str]] = {
    "Best Value": "best so far",
    "Trial": "trial",
    "Hyperparameter": "",
    "Hyperparameter Importance": "share of the difference",
}


def optuna_figure(text: str, key: str, title: str) -> str:
    """Give a figure of Optuna's, as Plotly JSON, the look, words and units of ours."""
    drawn = json.loads(text)
    figure = blank_figure(key, title, "")
    for axis in ("x", "y"):
        own = drawn["layout"].get(f"{axis}axis", {})
        named = _in_our_unit(own.get("title", {}).get("text", ""), axis, drawn["data"])
        look = {"title": {"text": named, "standoff": 8}, "tickformat": None, "type": own.get("type")}
        figure.update_layout({f"{axis}axis": look})
    for place, trace in enumerate(drawn["data"]):
        figure.add_trace(_dressed(trace, RUN_COLORS[place % len(RUN_COLORS)]))
    figure.update_layout(hovermode="closest", **LEGEND_BELOW)
    if len(drawn["data"]) == 1:
        # Without a legend no room is kept for one.
        figure.update_layout(showlegend=False, margin={"b": 52})
    return str(figure.to_json())


def _dressed(trace: Mapping[str, Any], color: str) -> dict[str, Any]:
    """Return a trace in a colour of ours."""
    is_bar = trace["type"] == "bar"
    own: dict[str, Any] = {"marker": {"color": color} if is_bar else {"color": color, "size": 8}}
    if "line" in trace or trace.get("mode") == "lines":
        own["line"] = {"color": color, "width": 2.2}
    if is_bar:
        # Beside a long bar there is no room for its figure.
        own["textposition"] = "auto"
    if (name := trace.get("name")) is not None:
        own["name"] = _WORDS.get(name, name)
    return {**trace, **own, "showlegend": True}


def _in_our_unit(title: str, axis: str, traces: Sequence[dict[str, Any]]) -> str:
    """Scale what is drawn along an axis to the unit in which it reads well; return the title of the axis."""
    if title not in _UNITS:
        return _WORDS.get(title, title)
    name, unit_of = _UNITS[title]
    unit = unit_of([value for trace in traces for value in trace[axis]])
    for trace in traces:
        trace[axis] = [None if value is None else value * unit.factor for value in trace[axis]]
    return f"{name} ({unit.label})"
