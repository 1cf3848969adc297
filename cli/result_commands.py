"""Commands about what some runs, or all of them, came to."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.connecting import Api, AsJson, RunTexts, connect, find_run
from cli.run_texts import title_of
from cli.showing import UNKNOWN, amount, duration, percent, print_json, say, short, show_table
from schema import RunReply

app = typer.Typer()

By = Annotated[Literal["day", "project"], typer.Option("--by")]
Days = Annotated[int, typer.Option("--days", min=1, max=3660, help="Up to today.")]


@app.command("compare")
def compare_runs(runs: RunTexts, as_json: AsJson = False, api: Api = None) -> None:
    """Show runs side by side, and in which hyperparameters they differ; as JSON a line for each."""
    with connect(api) as client:
        found = [client.get_run(find_run(client, text)) for text in runs]
    if as_json:
        for run in found:
            print_json(run)
        return
    show_table(("", *(short(run.run_id) for run in found)), _sides(found))


def _sides(runs: list[RunReply]) -> list[tuple[str, ...]]:
    rows = [
        ("what", *map(title_of, runs)),
        ("status", *(run.status.value for run in runs)),
        ("epochs", *(f"{run.epochs_done}/{run.num_epochs or '?'}" for run in runs)),
        ("best accuracy", *(percent(run.best_accuracy) for run in runs)),
        ("last loss", *(amount(run.last_loss) for run in runs)),
        ("energy, Wh", *(amount(run.energy_kwh, 1000) for run in runs)),
        ("energy is", *(run.energy_quality or UNKNOWN for run in runs)),
        ("CO₂, g", *(amount(run.co2_g) for run in runs)),
        ("training time", *(duration(run.duration_s) for run in runs)),
    ]
    names = dict.fromkeys(name for run in runs for name in run.hyper_params)
    values = [(name, *(str(run.hyper_params.get(name, UNKNOWN)) for run in runs)) for name in names]
    return rows + [row for row in values if len(set(row[1:])) > 1]


@app.command("totals")
def show_totals(by: By = "day", days: Days = 30, as_json: AsJson = False, api: Api = None) -> None:
    """Show what all runs used, by day (UTC) or by project; simulated runs are not in it."""
    with connect(api) as client:
        reply = client.list_totals(by=by, days=days)
    if as_json:
        print_json(reply)
        return
    used = [total for total in reply.totals if total.real.epochs or total.real.extras]
    if not used:
        say("No run has used anything in that time.")
        return
    rows = [
        (
            total.name,
            amount(cost.energy_kwh, 1000),
            amount(cost.co2_g),
            duration(cost.duration_s),
            str(cost.epochs),
        )
        for total in used
        for cost in (total.real,)
    ]
    show_table((by, "Wh", "g CO₂", "time", "epochs"), rows)
