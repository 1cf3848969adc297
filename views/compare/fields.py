"""What of runs can be put on an axis: their parameters, their results, and their metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import JsonValue

from schema import MetricSummary, RunReply
from schema.configurations import SEED
from views import format as fmt
from views.compare.tables import Direction, direction_of, list_params
from views.form import number_text

Kind = Literal["param", "result"]
Value = float | str

_PERCENT: Final = fmt.Unit("%", 100.0)
_NO_UNIT: Final = fmt.Unit("", 1.0)
Units = Callable[[Sequence[float]], fmt.Unit]


@dataclass(frozen=True)
class Field:
    """A figure or a word of each run; values are in the unit of the title, a run without one is absent."""

    name: str
    title: str
    kind: Kind
    values: Mapping[str, Value]
    direction: Direction | None = None

    @property
    def is_number(self) -> bool:
        """Whether all of its values are numbers, so that they have places on an axis."""
        return all(isinstance(value, float) for value in self.values.values())

    @property
    def numbers(self) -> Mapping[str, float]:
        """Those of its values that are numbers."""
        return {run_id: value for run_id, value in self.values.items() if isinstance(value, float)}

    @property
    def words(self) -> Sequence[str]:
        """Its values as words, each once: as they come, numbers among them first."""
        found = dict.fromkeys(self.values.values())
        numbers = sorted(value for value in found if isinstance(value, float))
        return [*map(number_text, numbers), *(value for value in found if isinstance(value, str))]


# Of a run's own record; what is not known is None.
_RESULTS: Final[Mapping[str, tuple[str, Direction | None, Units]]] = {
    "best accuracy": ("best_accuracy", "highest", lambda _: _PERCENT),
    "last accuracy": ("last_accuracy", "highest", lambda _: _PERCENT),
    "last loss": ("last_loss", "lowest", lambda _: _NO_UNIT),
    "CO₂": ("co2_g", "lowest", fmt.co2_unit),
    "energy": ("energy_kwh", "lowest", fmt.energy_unit),
    "duration": ("duration_s", "lowest", fmt.time_unit),
    "accuracy per kWh": ("accuracy_per_kwh", "highest", lambda _: _NO_UNIT),
    "epochs": ("epochs_done", None, lambda _: _NO_UNIT),
}


def list_fields(
    runs: Sequence[RunReply], metrics: Mapping[str, Mapping[str, MetricSummary]], names: Sequence[str]
) -> dict[str, Field]:
    """Return the fields that any of the runs has, by name: results, params, those that differ first, metrics.

    metrics: by run and name; names: those of them that are wanted.
    """
    found = [_result(runs, name) for name in _RESULTS]
    found.append(_sizes(runs))
    params = {**list_params(runs), **list_params(runs, are_all_wanted=True)}
    taken = {field.name for field in found}
    for name, values in params.items():
        own = f"{name} (parameter)" if name in taken else name
        found.append(Field(own, own, "param", {run_id: _shown(value) for run_id, value in values.items()}))
    for name in names:
        found += _of_metric(name, {run_id: own[name] for run_id, own in metrics.items() if name in own})
    return {field.name: field for field in found if field.values}


def differing(fields: Mapping[str, Field]) -> list[str]:
    """Return the names of params that have several values, the seed last: it is nobody's choice."""
    found = [
        field.name
        for field in fields.values()
        if field.kind == "param" and len(set(field.values.values())) > 1
    ]
    return sorted(found, key=lambda name: name == SEED)


def _result(runs: Sequence[RunReply], name: str) -> Field:
    attribute, direction, units = _RESULTS[name]
    known = {run.run_id: getattr(run, attribute) for run in runs}
    values = {run_id: float(value) for run_id, value in known.items() if value is not None}
    unit = units(list(values.values()))
    title = f"{name} ({unit.label})" if unit.label else name
    shown = {run_id: value * unit.factor for run_id, value in values.items()}
    return Field(name, title, "result", shown, direction)


def _sizes(runs: Sequence[RunReply]) -> Field:
    known = {run.run_id: run.environment.get("parameters") for run in runs}
    counts = {run_id: float(value) for run_id, value in known.items() if type(value) is int}
    return Field("size of the network", "size of the network (parameters)", "result", counts, "lowest")


def _of_metric(name: str, own: Mapping[str, MetricSummary]) -> list[Field]:
    direction = direction_of(name)
    best = {run_id: known.min if direction == "lowest" else known.max for run_id, known in own.items()}
    last = {run_id: known.last_value for run_id, known in own.items()}
    what = "highest" if direction is None else "best"
    return [
        Field(f"{word} {name}", f"{word} {name}", "result", _finite(values), direction)
        for word, values in ((what, best), ("last", last))
    ]


def _finite(values: Mapping[str, float | None]) -> Mapping[str, float]:
    return {run_id: value for run_id, value in values.items() if value is not None and math.isfinite(value)}


def _shown(value: JsonValue) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return number_text(value)
