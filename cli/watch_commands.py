"""``wattle watch`` and ``wattle logs``: runs and their logs as they come in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from time import sleep
from typing import Annotated, Final

import typer
from rich.live import Live

from cli.connecting import Api, AsJson, RunText, complete_run, connect, find_run
from cli.run_texts import progress_table, run_line
from cli.showing import console, plain, print_json, say, tell
from client import Client
from errors import ApiRefused, ApiUnavailable
from schema import LogReply, RunReply, Status

app = typer.Typer()

# The most runs one look lists; who has more of them running looks at the page.
_MOST_RUNS: Final = 200
_LOG_LINES: Final = 1_000
SomeRuns = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", autocompletion=complete_run, help="Only these, until they have ended."),
]
Interval = Annotated[float, typer.Option("--interval", min=0.1, max=3600, help="Seconds between two looks.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended, or Ctrl-C.")]
Contains = Annotated[str | None, typer.Option("--contains", help="Only lines with this text.")]
Lines = Annotated[
    int, typer.Option("--lines", "-n", min=1, max=_LOG_LINES, help="The newest lines to begin with.")
]


@app.command("watch")
def watch_runs(
    runs: SomeRuns = None, interval: Interval = 1.0, as_json: AsJson = False, api: Api = None
) -> None:
    """Watch runs until Ctrl-C: a live table, or a line for every change where stdout is no terminal.

    With ids it ends when those have, with 1 unless all are done.
    """
    with connect(api) as client:
        ids = [find_run(client, text) for text in runs or ()]
        latest: dict[str, RunReply] = {}
        is_table = sys.stdout.isatty() and not as_json
        with (
            suppress(KeyboardInterrupt),
            Live(console=console(), auto_refresh=False) if is_table else nullcontext() as live,
        ):
            for seen in _looks(client, ids, interval):
                if live is not None:
                    shown = [run for run in seen if ids or run.status is Status.RUNNING]
                    live.update(progress_table(shown), refresh=True)
                for run in _changed(seen, latest) if live is None else ():
                    print_json(run) if as_json else say(run_line(run))
                latest |= {run.run_id: run for run in seen}
    if any(latest[iid].status is not Status.DONE for iid in ids if iid in latest):
        raise typer.Exit(1)


def _looks(client: Client, ids: Sequence[str], interval_s: float) -> Iterator[list[RunReply]]:
    """Yield the runs at every look, those that left the list once more; an API that is away is waited for.

    Raises ApiUnavailable when there was no answer to the first look.
    """
    listed: set[str] = set()
    has_seen = is_away = False
    while True:
        try:
            seen = _look(client, ids, listed)
            is_away, has_seen = False, True
        except ApiUnavailable as error:
            if not has_seen:
                raise
            if not is_away:
                tell(f"wattle: {error}")
            is_away = True
            sleep(interval_s)
            continue
        listed = {run.run_id for run in seen if not run.status.is_final}
        yield seen
        if ids and not listed:
            return
        sleep(interval_s)


def _look(client: Client, ids: Sequence[str], listed: set[str]) -> list[RunReply]:
    if ids:
        return [client.get_run(iid, fields=()) for iid in ids]
    seen = client.list_runs(status=Status.RUNNING, limit=_MOST_RUNS).results
    for iid in listed - {run.run_id for run in seen}:
        try:
            seen.append(client.get_run(iid, fields=()))
        except ApiRefused as refusal:
            if refusal.status != 404:  # deleted meanwhile
                raise
    return seen


def _changed(seen: Sequence[RunReply], latest: dict[str, RunReply]) -> Iterator[RunReply]:
    for run in seen:
        before = latest.get(run.run_id)
        if before is None or (run.status, run.epochs_done) != (before.status, before.epochs_done):
            yield run


@app.command("logs")
def show_log(
    run: RunText,
    follow: Follow = False,
    contains: Contains = None,
    lines: Lines = 100,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Print the log of a run, oldest line first; as JSON with -f a line for each."""
    with connect(api) as client:
        iid = find_run(client, run)
        if not follow:
            reply = client.list_log(iid, contains=contains, limit=lines)
            print_json(reply) if as_json else _print_lines(reply, as_json=False)
            return
        with suppress(KeyboardInterrupt):
            for reply in _follow(client, iid, contains, lines):
                _print_lines(reply, as_json=as_json)


def _follow(client: Client, iid: str, contains: str | None, lines: int) -> Iterator[LogReply]:
    after: str | None = None
    limit: int | None = lines
    while True:
        # Asked before the lines: what came before the end is then among them.
        has_ended = client.get_run(iid, fields=()).status.is_final
        reply = client.list_log(iid, after, contains=contains, limit=limit)
        yield reply
        has_moved = reply.newest not in (None, after)
        after, limit = reply.newest or after, None
        if has_moved and (has_ended or len(reply.lines) >= _LOG_LINES):
            continue
        if has_ended:
            return
        sleep(1.0)


def _print_lines(reply: LogReply, *, as_json: bool) -> None:
    for line in reply.lines:
        print_json(line) if as_json else say(f"{line.time.astimezone():%H:%M:%S}  {plain(line.text)}")
