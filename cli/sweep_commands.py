"""``wattle sweep``: search spaces over many runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.connecting import Api, AsJson, Key, Params, SweepText, connect, find_sweep
from cli.given import make_record, read_dimension, read_object, read_value
from cli.showing import UNKNOWN, amount, print_json, say, short, show_table
from client.sweeps import SweepAction
from schema.sweeps import Objective, Pruner, Sampler, Sweep, SweepRequest, Trial

app = typer.Typer(help="Train many runs over a search space (docs/sweeps.md).", no_args_is_help=True)

Request = Annotated[
    str | None,
    typer.Argument(
        metavar="REQUEST", help="JSON as of POST /api/sweeps; @file, or - for the standard input."
    ),
]
Space = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        "-s",
        metavar="NAME=VALUES",
        help="lr=1e-4..1e-1:log, batch_size=16..128:16, network=lenet5,resnet9",
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="For people.")]
Trials = Annotated[int | None, typer.Option("--trials", min=1, help="At most so many.")]
Co2 = Annotated[float | None, typer.Option("--co2-g", help="Grams that all trials may emit.")]
Method = Annotated[Sampler | None, typer.Option("--sampler", help="How the next trial is chosen.")]
Pruning = Annotated[Pruner | None, typer.Option("--pruner", help="Which trials are ended early.")]
Goals = Annotated[
    list[Objective] | None, typer.Option("--objective", help="Up to three; else validation_accuracy.")
]
Parallel = Annotated[int | None, typer.Option("--parallel", min=1, help="Trials at once.")]


@app.command("create")
def create_sweep(
    request: Request = None,
    space: Space = None,
    param: Params = None,
    name: Name = None,
    trials: Trials = None,
    co2_g: Co2 = None,
    sampler: Method = None,
    pruner: Pruning = None,
    objective: Goals = None,
    parallel: Parallel = None,
    key: Key = None,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Start a sweep and print its id."""
    if (request is None) == (not space):
        raise typer.BadParameter("give a request as JSON, or -s NAME=VALUES for each dimension; see --help")
    body: dict[str, Any] = dict(read_object(request)) if request is not None else {}
    body |= {"space": dict(read_dimension(text) for text in space)} if space else {}
    body |= (
        {"hyper_params": {**body.get("hyper_params", {}), **dict(read_value(text) for text in param)}}
        if param
        else {}
    )
    limits = _known(trials=trials, co2_g=co2_g)
    body |= {"limits": {**body.get("limits", {}), **limits}} if limits else {}
    body |= _known(name=name, sampler=sampler, pruner=pruner, objectives=objective or None, parallel=parallel)
    with connect(api) as client:
        sweep = client.start_sweep(make_record(SweepRequest, body), idempotency_key=key)
    print_json(sweep) if as_json else say(sweep.sweep_id)


def _known(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@app.command("list")
def list_sweeps(as_json: AsJson = False, api: Api = None) -> None:
    """List the sweeps, newest first."""
    with connect(api) as client:
        reply = client.list_sweeps()
    if as_json:
        print_json(reply)
    elif not reply.sweeps:
        say("No sweeps yet. Start one with 'wattle sweep create'.")
    else:
        show_table(("sweep", "state", "trials", "g CO₂", "best", "name"), map(_row, reply.sweeps))


def _row(sweep: Sweep) -> tuple[str, ...]:
    best = next(iter(sweep.summary.best), None)
    value = amount(best.values[0]) if best and best.values else UNKNOWN
    trials = f"{sweep.summary.trials}/{sweep.request.limits.trials}"
    return (
        short(sweep.sweep_id),
        sweep.state,
        trials,
        amount(sweep.summary.co2_g),
        value,
        sweep.request.name,
    )


@app.command("show")
def show_sweep(sweep: SweepText, as_json: AsJson = False, api: Api = None) -> None:
    """Show a sweep and its trials; as JSON the sweep on the first line, its trials on the second."""
    with connect(api) as client:
        sweep_id = find_sweep(client, sweep)
        found, reply = client.get_sweep(sweep_id), client.list_trials(sweep_id)
    if as_json:
        print_json(found)
        print_json(reply)
        return
    say(f"{found.sweep_id}  {found.state}  {found.reason or found.request.name}")
    goals = [goal.value for goal in found.request.goals]
    rows = [_trial_row(trial, len(goals)) for trial in reply.trials]
    show_table(("trial", "run", "state", *goals, "best", "params"), rows)


def _trial_row(trial: Trial, goals: int) -> tuple[str, ...]:
    params = ", ".join(f"{name}={value}" for name, value in trial.params.items())
    values = map(amount, trial.values or (None,) * goals)
    return (
        str(trial.number),
        short(trial.run_id),
        trial.state,
        *values,
        "*" if trial.is_best else "",
        params,
    )


@app.command("pause")
def pause_sweep(sweep: SweepText, as_json: AsJson = False, api: Api = None) -> None:
    """Begin no trial of a sweep any more until it is resumed."""
    _steer(sweep, "pause", as_json=as_json, api=api)


@app.command("resume")
def resume_sweep(sweep: SweepText, as_json: AsJson = False, api: Api = None) -> None:
    """Let a paused sweep go on."""
    _steer(sweep, "resume", as_json=as_json, api=api)


@app.command("stop")
def stop_sweep(sweep: SweepText, as_json: AsJson = False, api: Api = None) -> None:
    """End a sweep."""
    _steer(sweep, "stop", as_json=as_json, api=api)


@app.command("delete")
def delete_sweep(sweep: SweepText, as_json: AsJson = False, api: Api = None) -> None:
    """Forget a sweep that has ended; its runs stay."""
    with connect(api) as client:
        gone = client.delete_sweep(find_sweep(client, sweep))
    print_json(gone) if as_json else say(f"{gone.sweep_id}: deleted, its runs stay")


def _steer(text: str, action: SweepAction, *, as_json: bool, api: str | None) -> None:
    with connect(api) as client:
        sweep = client.steer_sweep(find_sweep(client, text), action)
    print_json(sweep) if as_json else say(f"{sweep.sweep_id}: {sweep.state}")
