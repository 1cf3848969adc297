"""What a report says of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import JsonValue

from api.report import parts
from api.report.parts import MISSING, Block, Chart, Code, Line, Report, Section, Table, Text
from schema import AccountReply, Attempt, EpochResult, Equivalent, MetricSummary, Note, Run, Series
from schema.reproduce import ReproductionReply, WorkerNow

MOST_EPOCHS: Final = 200
_LISTED_METRICS: Final = 100
_MOST_CHANGES: Final = 40
# What is less is nothing that people know.
_SMALLEST: Final = 0.001


class Known(NamedTuple):
    """What a report is made from."""

    run: Run
    line: str
    """Where it stands."""
    epochs: Sequence[EpochResult]
    attempts: Sequence[Attempt]
    account: AccountReply
    reproduction: ReproductionReply
    notes: Sequence[Note]
    metrics: Sequence[MetricSummary]
    """Of a run that its own script reports."""
    series: dict[str, Series]
    time: datetime


def write_report(known: Known) -> Report:
    """Put a report together; what is not known of the run is left out or said."""
    run = known.run
    sections = [
        Section("Result", _result(known)),
        Section("Curves", _curves(known)),
        Section("Energy and CO₂", _energy(known)),
        Section("Hyperparameters", [_params(run.hyper_params)]),
        Section("Environment", [*_environment(known)]),
        Section("Reproduce", _reproduce(known.reproduction)),
        Section("Attempts", _attempts(known.attempts)),
        Section("Epochs", _epochs(known.epochs)),
        Section("Metrics", _metrics(known.metrics)),
        Section("Notes", [Text(f"{_time(note.time)}: {note.text}") for note in known.notes]),
    ]
    mark = "Simulated: nothing was trained, every figure is made up. " if run.simulated else ""
    return Report(
        title=_title(run),
        summary=f"{mark}Run {run.run_id} · {known.line} · written by Wattle {_time(known.time)}",
        sections=[section for section in sections if section.blocks],
    )


def _title(run: Run) -> str:
    if run.name is not None:
        return run.name
    named = [run.hyper_params.get(name) for name in ("network", "dataset", "optimizer")]
    return " · ".join(str(part) for part in named if part) or str(run.hyper_params.get("trainer", "run"))


def _result(known: Known) -> list[Block]:
    run, account = known.run, known.account
    quality = run.energy_quality or "of unknown quality"
    rows = {
        "Status": run.status.value,
        "Best accuracy": parts.percent(run.best_accuracy),
        "Last accuracy": parts.percent(run.last_accuracy),
        "Last loss": parts.number(run.last_loss),
        "Epochs": str(run.epochs_done) + (f" of {run.num_epochs}" if run.num_epochs else ""),
        "Energy": parts.energy(run.energy_kwh) + (f", {quality}" if run.energy_kwh is not None else ""),
        "CO₂": parts.mass(run.co2_g),
        "Duration": parts.duration(run.duration_s),
        "Accuracy per kWh": parts.number(run.accuracy_per_kwh),
        "Project": run.options.project,
        "Tags": ", ".join(run.options.tags) or MISSING,
        "Added": _time(run.time_added),
        "Ended": _time(run.ended_at),
    }
    if account.baseline is not None:
        other = account.baseline
        rows[f"Median of {other.runs} other runs of the dataset"] = ", ".join(
            (parts.percent(other.accuracy), parts.energy(other.energy_kwh), parts.mass(other.co2_g))
        )
    blocks: list[Block] = [parts.pairs(rows)]
    if run.error is not None:
        blocks.append(Text(f"Failed: {run.error.kind}: {run.error.message}"))
    return blocks


def _curves(known: Known) -> list[Block]:
    epochs = known.epochs
    if not epochs:
        return [
            Chart(name, "step", [Line(name, series.steps, [_finite(value) for value in series.values])])
            for name, series in known.series.items()
        ]
    x = [float(result.epoch) for result in epochs]
    loss = [Line("train", x, [r.train_loss for r in epochs]), Line("test", x, [r.test_loss for r in epochs])]
    accuracy = [
        Line("train", x, [100 * r.train_accuracy for r in epochs]),
        Line("test", x, [100 * r.test_accuracy for r in epochs]),
    ]
    charts: list[Block] = [Chart("Loss", "epoch", loss), Chart("Accuracy %", "epoch", accuracy)]
    for title, values in (
        ("Energy Wh per epoch", [r.energy_kwh and 1_000 * r.energy_kwh for r in epochs]),
        ("CO₂ g per epoch", [r.co2_g for r in epochs]),
    ):
        if any(value is not None for value in values):
            charts.append(Chart(title, "epoch", [Line("", x, values)], is_from_zero=True))
    return charts


def _energy(known: Known) -> list[Block]:
    run, account = known.run, known.account
    facts = run.environment
    rows = {
        "Energy": parts.energy(run.energy_kwh),
        "Quality": run.energy_quality or "unknown",
        "Method": str(facts.get("energy_source") or MISSING),
    }
    for source, kwh in (account.energy_by_source or {}).items():
        rows[f"of that {source}"] = parts.energy(kwh)
    if account.pue is not None:
        rows["PUE of the building"] = parts.number(account.pue)
    if account.error_share is not None:
        rows["Error at most"] = f"±{100 * account.error_share:.2g} %"
        rows["Because"] = account.error_reason or MISSING
    rows["CO₂"] = parts.mass(run.co2_g)
    if account.co2_source is not None:
        origin = account.co2_source
        rows["Intensity"] = f"{origin.zone}, {origin.provider}, {origin.basis}"
    elif facts.get("intensity_source"):
        rows["Intensity"] = str(facts["intensity_source"])
    if run.unknown_energy_epochs:
        rows["Epochs of unknown energy"] = str(run.unknown_energy_epochs)
    alike = [_equivalent(each) for each in account.equivalents if each.amount >= _SMALLEST]
    if alike:
        rows["As much as"] = "; ".join(alike)
    if run.carbon_outcome is not None and run.carbon_outcome.saved_g is not None:
        rows["Saved against running at once"] = parts.mass(run.carbon_outcome.saved_g)
    return [parts.pairs(rows)]


def _equivalent(found: Equivalent) -> str:
    unit = "" if found.unit == "charges" else f"{found.unit} "
    return f"{parts.number(found.amount, 3)} {unit}{found.name}"


def _params(values: dict[str, JsonValue]) -> Block:
    return parts.pairs({name: _value(value) for name, value in values.items()})


def _environment(known: Known) -> list[Block]:
    facts = {name: _value(value) for name, value in known.run.environment.items()}
    blocks: list[Block] = [parts.pairs(facts)] if facts else []
    return blocks + [_changes(worker) for worker in known.reproduction.workers]


def _changes(worker: WorkerNow) -> Block:
    if not worker.changes:
        return Text(f"The worker {worker.name} runs with the same code and packages now.")
    rows = [(c.name, _value(c.then), _value(c.now)) for c in worker.changes[:_MOST_CHANGES]]
    return Table((f"Different on the worker {worker.name}", "then", "now"), rows)


def _reproduce(found: ReproductionReply) -> list[Block]:
    if found.command is None or found.curl is None:
        return [
            Text(found.reason or "It cannot be queued again."),
            Code("Its parameters", json.dumps(found.hyper_params, indent=2, ensure_ascii=False)),
        ]
    body = {"hyper_params": found.hyper_params, "options": found.options}
    return [
        Text("The same hyperparameters, seed and trainer. In Wattle's folder, or with curl:"),
        Code("Command", found.command),
        Code("curl", found.curl),
        Code("JSON for POST /train", json.dumps(body, indent=2, ensure_ascii=False)),
    ]


def _attempts(attempts: Sequence[Attempt]) -> list[Block]:
    rows = [
        (
            *(str(a.attempt), a.worker, _time(a.started_at), _time(a.ended_at), a.end_reason or MISSING),
            *(parts.duration(a.duration_s), parts.energy(a.energy_kwh), parts.mass(a.co2_g)),
        )
        for a in attempts
    ]
    columns = ("Attempt", "Worker", "Started", "Ended", "End", "Duration", "Energy", "CO₂")
    return [Table(columns, rows, frozenset({5, 6, 7}))] if rows else []


def _epochs(epochs: Sequence[EpochResult]) -> list[Block]:
    if not epochs:
        return []
    shown = _some(epochs)
    columns = ("Epoch", "Train loss", "Test loss", "Train acc. %", "Test acc. %", "Wh", "CO₂ g", "s")
    rows = [
        (
            *(str(r.epoch), f"{r.train_loss:.4f}", f"{r.test_loss:.4f}"),
            *(f"{100 * r.train_accuracy:.2f}", f"{100 * r.test_accuracy:.2f}"),
            *(parts.number(r.energy_kwh and 1_000 * r.energy_kwh), parts.number(r.co2_g)),
            f"{r.duration_s:.2f}",
        )
        for r in shown
    ]
    table = Table(columns, rows, frozenset(range(len(columns))))
    if len(shown) == len(epochs):
        return [table]
    return [Text(f"{len(shown)} of {len(epochs)} epochs, evenly chosen."), table]


def _some(epochs: Sequence[EpochResult]) -> Sequence[EpochResult]:
    """Keep the first, the last and some evenly between them."""
    if len(epochs) <= MOST_EPOCHS:
        return epochs
    step = (len(epochs) - 1) / (MOST_EPOCHS - 1)
    return [epochs[place] for place in sorted({round(n * step) for n in range(MOST_EPOCHS)})]


def _metrics(metrics: Sequence[MetricSummary]) -> list[Block]:
    rows = [
        (m.name, str(m.count), str(m.last_step), *map(parts.number, (_finite(m.last_value), m.min, m.max)))
        for m in metrics[:_LISTED_METRICS]
    ]
    columns = ("Metric", "Points", "Last step", "Last value", "Lowest", "Highest")
    return [Table(columns, rows, frozenset({1, 2, 3, 4, 5}))] if rows else []


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None


def _value(value: JsonValue) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _time(time: datetime | None) -> str:
    return MISSING if time is None else f"{time:%Y-%m-%d %H:%M} UTC"
