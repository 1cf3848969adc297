"""A comparison as CSV files: its curves as they are drawn, and what is known of each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from schema.cells import write_lines
from views.compare.compared import Compared
from views.compare.curves import Drawn
from views.compare.points import Axis
from views.compare.tables import direction_of, list_params
from views.form import number_text
from views.look import run_title

_RESULTS: Final = (
    *("best_accuracy", "last_accuracy", "last_loss", "energy_kwh", "energy_quality", "co2_g", "duration_s"),
    *("accuracy_per_kwh", "epochs_done"),
)
_AXIS_COLUMNS: Final[dict[Axis, str]] = {
    "time": "time_since_start_s",
    "energy_kwh": "energy_used_kwh",
    "co2_g": "co2_caused_g",
}


def write_curves(compared: Compared, drawn: Drawn) -> str:
    """Return the points that are drawn, one a line; what is not finite or not known is an empty cell."""
    runs = {run.run_id: run for run in compared.runs}
    column = _AXIS_COLUMNS.get(drawn.axis)
    header = ["run_id", "run", "simulated", "metric", "step", *([column] if column else [])]
    lines: list[Sequence[object]] = [[*header, "value", "smoothed"]]
    for name, curves in drawn.curves.items():
        for run_id, own in curves.items():
            head = [run_id, run_title(runs[run_id]), runs[run_id].simulated, name]
            for step, x, value, smoothed in zip(own.steps, own.xs, own.values, own.smoothed, strict=True):
                lines.append([*head, step, *([x] if column else []), value, smoothed])
    return write_lines(lines)


def write_runs(compared: Compared) -> str:
    """Return what is known of each run, one a line: its results, its parameters, its metrics."""
    params = list_params(compared.runs, are_all_wanted=True)
    names = compared.list_names()
    words = {name: _best_word(name) for name in names}
    header = ["run_id", "run", "status", "simulated", "is_external", "project", "tags", *_RESULTS]
    header += [f"param {name}" for name in params]
    header += [f"{what} {name}" for name in names for what in (words[name], "last")]
    lines: list[Sequence[object]] = [header]
    for run in compared.runs:
        own = compared.metrics[run.run_id]
        cells: list[object] = [run.run_id, run_title(run), run.status.value, run.simulated, run.is_external]
        cells += [run.options.project, " ".join(run.options.tags)]
        cells += [getattr(run, name) for name in _RESULTS]
        cells += [_cell(values.get(run.run_id)) for values in params.values()]
        for name in names:
            known = own.get(name)
            best = None if known is None else known.min if words[name] == "lowest" else known.max
            cells += [best, None if known is None else known.last_value]
        lines.append(cells)
    return write_lines(lines)


def _best_word(name: str) -> str:
    return direction_of(name) or "highest"


def _cell(value: JsonValue) -> object:
    return number_text(value) if isinstance(value, list | dict) else value
