"""Commands about runs that are there: how they stand, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from cli.connecting import Api, AsJson, Key, Params, RunText, RunTexts, Yes, complete_run, connect, find_run
from cli.given import read_value
from cli.run_texts import RUN_COLUMNS, fields_of, run_row
from cli.showing import print_json, say, show_fields, show_table, tell
from client import Client
from errors import ApiRefused
from schema import RunReply, Status

app = typer.Typer()

SomeRun = Annotated[
    str | None,
    typer.Argument(metavar="RUN", autocompletion=complete_run, help="Its id, or the beginning of it."),
]
Search = Annotated[
    str | None, typer.Option("--search", "-q", help="Such as 'network:resnet9 accuracy>0.95'.")
]
OfStatus = Annotated[Status | None, typer.Option("--status", "-s", help="Only runs with this status.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many runs.")]


@app.command("status")
def show_status(
    run: SomeRun = None,
    search: Search = None,
    status: OfStatus = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Show how a run stands, or the newest runs and how many there are of each status."""
    with connect(api) as client:
        if run is not None:
            found = client.get_run(find_run(client, run))
            print_json(found) if as_json else show_fields(fields_of(found))
            return
        listed = client.list_runs(status=status, q=search, limit=limit)
        if as_json:
            print_json(listed)
            return
        workers = client.get_health().workers
    counts = ", ".join(f"{count} {status}" for status, count in listed.counts.items() if count)
    say(f"{counts or 'No runs yet'}; {len(workers)} live worker{'s' if len(workers) != 1 else ''}")
    if listed.results:
        show_table(RUN_COLUMNS, map(run_row, listed.results))


@app.command("cancel")
def cancel_runs(runs: RunTexts, as_json: AsJson = False, api: Api = None) -> None:
    """End runs: at once while no worker has them, else at the next step of their training."""
    _steer(Client.cancel_run, runs, as_json=as_json, api=api)


@app.command("pause")
def pause_runs(runs: RunTexts, as_json: AsJson = False, api: Api = None) -> None:
    """Keep runs from workers until they are resumed; running ones save a checkpoint first."""
    _steer(Client.pause_run, runs, as_json=as_json, api=api)


@app.command("resume")
def resume_runs(runs: RunTexts, as_json: AsJson = False, api: Api = None) -> None:
    """Let paused or deferred runs wait again, to be claimed next."""
    _steer(Client.resume_run, runs, as_json=as_json, api=api)


@app.command("retry")
def retry_runs(runs: RunTexts, as_json: AsJson = False, api: Api = None) -> None:
    """Queue failed or cancelled runs again; they go on from their checkpoints."""
    _steer(Client.retry_run, runs, as_json=as_json, api=api)


def _steer(
    act: Callable[[Client, str], RunReply], texts: list[str], *, as_json: bool, api: str | None
) -> None:
    """Do it with each run; one that is refused is told, and does not stop the others."""
    refused = 0
    with connect(api) as client:
        for iid in [find_run(client, text) for text in texts]:
            try:
                run = act(client, iid)
            except ApiRefused as error:
                refused += 1
                tell(f"{iid}: {error}")
                continue
            print_json(run) if as_json else say(f"{iid}: {run.status_line or run.status}")
    raise typer.Exit(1 if refused else 0)


@app.command("rerun")
def rerun_run(
    run: RunText, param: Params = None, key: Key = None, as_json: AsJson = False, api: Api = None
) -> None:
    """Queue a new run like this one, with other values where they are given, and print its id."""
    changes = dict(read_value(text) for text in param or ())
    with connect(api) as client:
        queued = client.rerun_run(find_run(client, run), changes, idempotency_key=key)
    print_json(queued) if as_json else say(queued.iid)


@app.command("rm")
def delete_runs(runs: RunTexts, yes: Yes = False, as_json: AsJson = False, api: Api = None) -> None:
    """Delete runs that have ended, with their models, checkpoints and artifacts, for good."""
    with connect(api) as client:
        ids = [find_run(client, text) for text in runs]
        if not yes:
            for iid in ids:
                going = client.get_deletion(iid)
                tell(f"{iid}: {going.status}, {going.epochs} epochs, {going.artifacts} artifacts")
            typer.confirm(
                f"Delete {'this run' if len(ids) == 1 else f'these {len(ids)} runs'}?", abort=True, err=True
            )
    _delete(ids, as_json=as_json, api=api)


def _delete(ids: list[str], *, as_json: bool, api: str | None) -> None:
    refused = 0
    with connect(api) as client:
        for iid in ids:
            try:
                gone = client.delete_run(iid)
            except ApiRefused as error:
                refused += 1
                tell(f"{iid}: {error}")
                continue
            print_json(gone) if as_json else say(f"{iid}: deleted")
    raise typer.Exit(1 if refused else 0)
