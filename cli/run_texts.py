"""Runs as rows, lines and fields."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress_bar import ProgressBar
from rich.table import Table

from cli.showing import UNKNOWN, Cell, amount, console, duration, make_table, moment, percent, short
from schema import RunReply

_BAR_WIDTH = 20
# In less, a bar would cost the figures.
_ROOM_FOR_A_BAR = 72
RUN_COLUMNS = ("run", "status", "epochs", "accuracy", "loss", "Wh", "g CO₂", "time", "what")


def run_row(run: RunReply) -> tuple[str, ...]:
    """Return the cells of a run under RUN_COLUMNS."""
    estimated = "~" if run.energy_quality == "estimated" else ""
    return (
        short(run.run_id),
        run.status.value,
        f"{run.epochs_done}/{run.num_epochs or '?'}",
        percent(run.best_accuracy),
        amount(run.last_loss),
        estimated + amount(run.energy_kwh, 1000),
        estimated + amount(run.co2_g),
        duration(run.duration_s),
        title_of(run),
    )


def run_line(run: RunReply) -> str:
    """Return where a run stands on one line."""
    figures = (
        f"accuracy {percent(run.last_accuracy)}  {amount(run.energy_kwh, 1000)} Wh  {amount(run.co2_g)} g CO₂"
    )
    return f"{run.run_id}  {run.status:<9}  epoch {run.epochs_done}/{run.num_epochs or '?'}  {figures}"


def progress_table(runs: Sequence[RunReply]) -> Table:
    """Return a table of runs with a bar for what is trained of each, where the terminal is wide enough."""
    has_room = console().width >= _ROOM_FOR_A_BAR
    rows: list[list[Cell]] = []
    for run in runs:
        bar = ProgressBar(total=1.0, completed=run.progress or 0.0, width=_BAR_WIDTH)
        cells = run_row(run)
        bars = [bar] if has_room else []
        rows.append([*cells[:3], *bars, percent(run.last_accuracy), cells[6], cells[8]])
    columns = ("run", "status", "epochs", *([""] if has_room else []), "accuracy", "g CO₂", "what")
    return make_table(columns, rows or [[UNKNOWN, "nothing runs", *[""] * (len(columns) - 2)]])


def title_of(run: RunReply) -> str:
    """Return what people tell a run by: its name, else what it trains."""
    params = run.hyper_params
    words = [params.get(name) for name in ("network", "dataset", "optimizer")]
    said = " ".join(str(word) for word in words if word is not None)
    simulated = " (simulated)" if run.simulated else ""
    return (run.name or said or str(params.get("trainer", UNKNOWN))) + simulated


def fields_of(run: RunReply) -> list[tuple[str, str]]:
    """Return what is known of a run, by name; what is not known is left out."""
    known = [
        ("run", run.run_id),
        ("what", title_of(run)),
        ("status", run.status_line or run.status.value),
        ("epochs", f"{run.epochs_done} of {run.num_epochs or 'an unknown number'}"),
        ("best accuracy", percent(run.best_accuracy)),
        ("last loss", amount(run.last_loss)),
        (
            "energy",
            f"{amount(run.energy_kwh, 1000)} Wh, {run.energy_quality}" if run.energy_quality else UNKNOWN,
        ),
        ("CO₂", f"{amount(run.co2_g)} g" if run.co2_g is not None else UNKNOWN),
        ("training time", duration(run.duration_s)),
        ("worker", run.worker or UNKNOWN),
        ("queue", run.options.queue),
        ("project", run.options.project),
        ("tags", ", ".join(run.options.tags) or UNKNOWN),
        ("added", moment(run.time_added)),
        ("started", moment(run.started_at)),
        ("ended", moment(run.ended_at)),
        ("failure", run.error.message if run.error else UNKNOWN),
        ("hyperparameters", ", ".join(f"{name}={value}" for name, value in run.hyper_params.items())),
    ]
    return [(name, value) for name, value in known if value != UNKNOWN]
