"""Commands that change what is stored of many runs: new figures of CO₂, and runs from a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.connecting import Api, AsJson, complete_run, connect, find_run
from cli.showing import print_json, say, short, tell
from client import Client
from errors import ApiRefused, InvalidInput
from schema import RecomputeReply, Status

app = typer.Typer()

_RUNS_PER_PAGE = 200
_ROWS_AT_ONCE = 2_000
_MOST_BYTES = 500_000
_PATIENCE_S = 60.0
SomeRuns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN...", autocompletion=complete_run, help="Only these, instead of all done runs."
    ),
]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A leaderboard.csv.")]
Check = Annotated[bool, typer.Option("--check", help="Add nothing, only say what would become of it.")]


@app.command("recompute")
def recompute_runs(runs: SomeRuns = None, as_json: AsJson = False, api: Api = None) -> None:
    """Compute the CO₂ of done runs again, each with the present intensity of its own zone."""
    with connect(api, timeout_s=_PATIENCE_S) as client:
        ids = [find_run(client, text) for text in runs] if runs else list_done(client)
        raise typer.Exit(recompute_all(client, ids, as_json=as_json))


def recompute_all(client: Client, ids: Iterable[str], *, as_json: bool = False) -> int:
    """Recompute runs with a line for each that changes; what cannot be recomputed stops no other one.

    Returns 1 when one could not be. Raises ApiUnavailable when the API stops answering; the same call again
    goes on, since a run that is up to date is left as it is.
    """
    changed = refused = done = 0
    for done, iid in enumerate(ids, start=1):
        try:
            reply = client.recompute(iid)
        except ApiRefused as error:
            refused += 1
            tell(f"{iid}: not recomputed: {error}")
            continue
        changed += reply.changed
        if as_json:
            print_json(reply)
        elif reply.changed:
            say(_change(done, reply))
    if not as_json:
        say(
            f"{done} done runs: {changed} changed, {done - changed - refused} as they were, {refused} refused"
        )
    return 1 if refused else 0


def list_done(client: Client) -> Iterator[str]:
    """Yield the id of every done run, oldest first, so that runs that end meanwhile come last."""
    cursor: str | None = None
    while True:
        page = client.list_runs(status=Status.DONE, order="asc", limit=_RUNS_PER_PAGE, cursor=cursor)
        yield from (run.run_id for run in page.results)
        if (cursor := page.cursor) is None:
            return


def _change(number: int, reply: RecomputeReply) -> str:
    old = reply.replaced.co2_g if reply.replaced else None
    before, after = ("unknown" if value is None else f"{value:.4g} g" for value in (old, reply.co2_g))
    return f"{number:>6}  {short(reply.iid)}  {before} -> {after}"


@app.command("import-results")
def import_results(file: File, check: Check = False, as_json: AsJson = False, api: Api = None) -> None:
    """Add the runs of a leaderboard.csv that ended elsewhere; those that are known stay as they are."""
    imported = known = 0
    try:
        text = file.read_text("utf-8-sig")
        with connect(api, timeout_s=_PATIENCE_S) as client:
            for part in parts_of(text):
                reply = client.import_results(part, check=check)
                imported, known = imported + reply.imported, known + reply.known
                if as_json:
                    print_json(reply)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file} is no CSV file: {error}. Save it as CSV in UTF-8.") from error
    finally:
        if not as_json:
            say(f"{imported} runs {'would be ' if check else ''}imported, {known} were known")


def parts_of(text: str) -> Iterator[str]:
    """Yield a file in parts that the API takes, each with the header. Lines in a cell stay together."""
    rows = csv.reader(io.StringIO(text, newline=""))
    header = _line(next(rows, []))
    part: list[str] = []
    size = 0
    for row in rows:
        line = _line(row)
        if part and (len(part) >= _ROWS_AT_ONCE or size + len(line.encode()) > _MOST_BYTES):
            yield header + "".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line.encode())
    yield header + "".join(part)


def _line(row: Sequence[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()
