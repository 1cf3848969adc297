"""What runs differ in, and how well each did: plain values, and which of them is the best."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd
from pydantic import JsonValue

from schema import MetricSummary, RunReply
from views import format as fmt
from views.form import number_text
from views.look import SIMULATED, run_title

Direction = Literal["lowest", "highest"]

# As training_monitor.comparison has it, which a page may not import; a test compares both.
_LOWER_IS_BETTER: Final = re.compile(
    r"loss|error|perplexity|duration|energy|co2|mse|mae|rmse|latency", re.IGNORECASE
)
# Of other names the highest value is shown, and none is called the best: nobody said that more is better.
_HIGHER_IS_BETTER: Final = re.compile(
    r"acc(uracy)?|auc|auroc|f1|precision|recall|score|iou|dice|m?ap|bleu|rouge|reward|r2|psnr|ssim"
)
# Fractions, or per cent: a name does not tell which.
_FRACTION: Final = re.compile(r"acc(uracy)?|auc|auroc|f1|precision|recall|iou|dice|m?ap")
_COST: Final = re.compile(r"duration|energy|co2|latency", re.IGNORECASE)
_PERCENT: Final = fmt.Unit("%", 100.0)
_NO_UNIT: Final = fmt.Unit("", 1.0)


def _points_unit(values: Iterable[float]) -> fmt.Unit:
    """Choose a unit for percentage points, of which small networks have tens of millions per kWh."""
    points = 100 * max(values, default=0.0)
    if points >= 1e6:
        return fmt.Unit("M points", 1e-4)
    return fmt.Unit("K points", 0.1) if points >= 1e4 else fmt.Unit("points", 100.0)


# Of a run's own record, by the names that they have on the axes of the page.
_TOTALS: Final[Mapping[str, tuple[str, Direction, Callable[[Iterable[float]], fmt.Unit]]]] = {
    "best_accuracy": ("best accuracy", "highest", lambda _: _PERCENT),
    "energy_kwh": ("energy", "lowest", fmt.energy_unit),
    "co2_g": ("CO₂", "lowest", fmt.co2_unit),
    "duration_s": ("duration", "lowest", fmt.time_unit),
    "accuracy_per_kwh": ("accuracy per kWh", "highest", _points_unit),
}
_LARGEST_WHOLE: Final = 1e9
# Below it, metrics have as many decimals as losses have elsewhere.
_LARGE: Final = 100.0
_SMALLEST_FIXED: Final = 1e-3
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_ID_LENGTHS: Final = (4, 8, 32)


@dataclass(frozen=True)
class Row:
    """One line of a table: what it is of, which value counts, the value of each run, and who has the best."""

    name: str
    what: str
    values: Mapping[str, float]
    best: frozenset[str] = frozenset()
    unit: fmt.Unit = _NO_UNIT


def direction_of(name: str) -> Direction | None:
    """Return which value of a metric is its best; None where its name does not tell."""
    if _LOWER_IS_BETTER.search(name):
        return "lowest"
    words = (word.group().lower() for word in _WORD.finditer(name))
    return "highest" if any(_HIGHER_IS_BETTER.fullmatch(word) for word in words) else None


def mixed_units(metrics: Mapping[str, Mapping[str, MetricSummary]]) -> frozenset[str]:
    """Return metrics that are fractions in some runs and, as their values tell, per cent in others.

    metrics: by run and name.
    """
    highest: dict[str, set[bool]] = {}
    for own in metrics.values():
        for name, known in own.items():
            words = (word.group().lower() for word in _WORD.finditer(name))
            if known.max and known.max > 0 and any(_FRACTION.fullmatch(word) for word in words):
                highest.setdefault(name, set()).add(known.max > 1)
    return frozenset(name for name, kinds in highest.items() if len(kinds) > 1)


def rank_of(name: str) -> int:
    """Return where a metric stands: 0 for what a training is for, 1 for what is not known, 2 for its cost."""
    if _COST.search(name):
        return 2
    return 0 if direction_of(name) else 1


def flat_params(params: Mapping[str, JsonValue], prefix: str = "") -> Iterable[tuple[str, JsonValue]]:
    """Yield params by their names; those of a nested mapping with dots."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from flat_params(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def list_params(runs: Sequence[RunReply], *, are_all_wanted: bool = False) -> dict[str, dict[str, JsonValue]]:
    """Return params by name and run: those that differ, or all. A run that lacks one is absent."""
    # What is left out, and what is none, is the same on a page.
    params_of: dict[str, dict[str, JsonValue]] = {
        run.run_id: {name: value for name, value in flat_params(run.hyper_params) if value is not None}
        for run in runs
    }
    names = dict.fromkeys(name for params in params_of.values() for name in params)
    by_name = {
        name: {run_id: params[name] for run_id, params in params_of.items() if name in params}
        for name in names
    }
    return {
        name: values
        for name, values in by_name.items()
        if are_all_wanted or len(values) < len(runs) or len({repr(value) for value in values.values()}) > 1
    }


def list_rows(
    runs: Sequence[RunReply], metrics: Mapping[str, Mapping[str, MetricSummary]], names: Sequence[str]
) -> list[Row]:
    """Return two lines of each metric: its best value and its last. metrics: by run and name.

    Simulated runs are never the best while there is a real one, and nothing is of a metric of mixed units.
    """
    mixed = mixed_units(metrics)
    real = {run.run_id for run in runs if not run.simulated}
    may_win = real or {run.run_id for run in runs}
    rows = []
    for name in names:
        direction = None if name in mixed else direction_of(name)
        found = {run.run_id: metrics[run.run_id][name] for run in runs if name in metrics[run.run_id]}
        extremes = {run_id: own.min if direction == "lowest" else own.max for run_id, own in found.items()}
        best = {run_id: value for run_id, value in extremes.items() if value is not None}
        last = {run_id: own.last_value for run_id, own in found.items()}
        what = f"best ({direction})" if direction else "highest"
        rows += [
            Row(name, what, best, _best_of(best, direction, may_win)),
            Row(name, "last", last, _best_of(last, direction, may_win)),
        ]
    return rows


def total_rows(runs: Sequence[RunReply]) -> list[Row]:
    """Return a line of each figure of runs as wholes that any of them knows."""
    may_win = {run.run_id for run in runs if not run.simulated} or {run.run_id for run in runs}
    rows = []
    for attribute, (name, direction, unit_of) in _TOTALS.items():
        known = {run.run_id: getattr(run, attribute) for run in runs if getattr(run, attribute) is not None}
        if known:
            best = _best_of(known, direction, may_win)
            rows.append(Row(name, "whole run", known, best, unit_of(known.values())))
    return rows


def _best_of(values: Mapping[str, float], direction: Direction | None, may_win: set[str]) -> frozenset[str]:
    """Return the runs with the best value; none where only one run has a value, or all are equal."""
    known = {run_id: value for run_id, value in values.items() if run_id in may_win and math.isfinite(value)}
    if direction is None or len(known) < 2 or len(set(known.values())) == 1:
        return frozenset()
    best = min(known.values()) if direction == "lowest" else max(known.values())
    return frozenset(run_id for run_id, value in known.items() if value == best)


def labels_of(runs: Sequence[RunReply]) -> dict[str, str]:
    """Name each run in a column or a legend, no two alike."""
    for length in _ID_LENGTHS:
        labels = {
            run.run_id: f"{run_title(run)} · {run.run_id[:length]}"
            + (f" ({SIMULATED})" if run.simulated else "")
            for run in runs
        }
        if len(set(labels.values())) == len(labels):
            break
    return labels


def params_frame(params: Mapping[str, Mapping[str, JsonValue]], labels: Mapping[str, str]) -> pd.DataFrame:
    """Turn params into one line each, with a column for each run."""
    return pd.DataFrame(
        [
            {"Parameter": name}
            | {
                label: number_text(own[run_id]) if run_id in own else fmt.MISSING
                for run_id, label in labels.items()
            }
            for name, own in params.items()
        ],
        columns=["Parameter", *labels.values()],
    )


def metrics_frame(rows: Sequence[Row], labels: Mapping[str, str]) -> pd.DataFrame:
    """Turn lines into texts, with a column for each run; a star marks the best."""
    lines = []
    for row in rows:
        cells = _cells(row)
        own = {label: cells.get(run_id, fmt.MISSING) for run_id, label in labels.items()}
        lines.append({"Metric": row.name, "Value": row.what, **own})
    return pd.DataFrame(lines, columns=["Metric", "Value", *labels.values()])


def _cells(row: Row) -> dict[str, str]:
    """Write the values of a line in one unit, and with as many decimals."""
    shown = {run_id: value * row.unit.factor for run_id, value in row.values.items()}
    how = _format_of([value for value in shown.values() if math.isfinite(value)], row.unit)
    label = f"\u00a0{row.unit.label}" if row.unit.label else ""
    return {
        run_id: f"{'★ ' if run_id in row.best else ''}{value:{how}}{label}" for run_id, value in shown.items()
    }


def _format_of(values: Sequence[float], unit: fmt.Unit) -> str:
    """Return how to write the values of a line: whole ones as such, tiny ones as powers of ten."""
    if unit.label:
        return f".{2 if unit is _PERCENT else fmt.decimals(values)}f"
    sizes = [abs(value) for value in values if value]
    if all(float(value).is_integer() for value in values) and max(sizes, default=0.0) < _LARGEST_WHOLE:
        return ".0f"
    if min(sizes) < _SMALLEST_FIXED or max(sizes) >= _LARGEST_WHOLE:
        return ".4g"
    return ".4f" if max(sizes) < _LARGE else ".2f"


def warnings_of(
    runs: Sequence[RunReply], metrics: Mapping[str, Mapping[str, MetricSummary]] | None = None
) -> list[str]:
    """Say what makes a comparison doubtful. metrics: by run and name."""
    texts = []
    datasets = sorted({str(run.hyper_params["dataset"]) for run in runs if "dataset" in run.hyper_params})
    if len(datasets) > 1:
        texts.append(f"These runs have different datasets, {', '.join(datasets)}: accuracies do not compare.")
    simulated = sum(run.simulated for run in runs)
    if 0 < simulated < len(runs):
        texts.append("Some are simulated: their figures are made up, and never the best.")
    known = [run for run in runs if run.energy_kwh is not None and not run.simulated]
    if len({run.energy_quality == "measured" for run in known}) > 1:
        texts.append(
            "Some measured their energy, others estimated it or do not say how they found it: compare within "
            "one kind."
        )
    if mixed := mixed_units(metrics or {}):
        texts.append(
            f"{', '.join(sorted(mixed))}: some runs seem to report a fraction and others per cent. They "
            "share an axis as they are, and none is called the best."
        )
    return texts
