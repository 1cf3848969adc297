"""The commands about runs that ended long ago: ``wattle archive``, ``wattle export``, ``wattle import``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, Final, TypeVar

import typer

from cli.connecting import Api, AsJson, RunTexts, connect, find_run
from client import Client
from errors import ApiUnavailable, WattleError
from schema.archive import ArchiveReply, ArchiveRound

app = typer.Typer(help="Runs that ended long ago.", no_args_is_help=True)
"""``wattle archive``; ``export_runs`` and ``import_runs`` are commands of ``wattle`` itself."""

_PIECE_BYTES: Final = 1 << 20
_LOOK_EVERY_S: Final = 0.5
_HALF: Final = ".half"
Answer = TypeVar("Answer")


@app.command("status")
def show_status(api: Api = None, as_json: AsJson = False) -> None:
    """Tell what is in the archive, and when more will be."""
    with _client(api) as client:
        found = _ask(client.get_archive)
    typer.echo(found.model_dump_json() if as_json else _describe(found))


@app.command("now")
def archive_now(
    older_than_days: Annotated[
        float | None,
        typer.Option(min=0, max=36_500, help="How long ago they ended; else WATTLE_ARCHIVE_AFTER_DAYS."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until all are moved.")] = False,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Move runs that ended to the archive at once; --wait ends with 1 where that met a problem, or died."""
    with _client(api) as client:
        found = _ask(partial(client.archive_now, older_than_days=older_than_days))
        begun = found.under_way
        while wait and _is_same(found.under_way, begun):
            time.sleep(_LOOK_EVERY_S)
            found = _ask(client.get_archive)
    typer.echo(found.model_dump_json() if as_json else _describe(found))
    if wait and not _is_same(found.last, begun):
        raise _failed(
            "the round that was begun is gone, and nobody has noted how it ended: the web process that did "
            "it was stopped, or lost Redis. What was moved is moved; 'wattle archive now' goes on."
        )
    if wait and found.last is not None and found.last.problem is not None:
        raise typer.Exit(1)


@app.command("restore")
def restore_runs(runs: RunTexts, api: Api = None, as_json: AsJson = False) -> None:
    """Bring runs back from the archive, so that they can be changed; none where one is not to be found."""
    with _client(api) as client:
        run_ids = [_ask(partial(find_run, client, text)) for text in runs]
        for run_id in dict.fromkeys(run_ids):
            run = _ask(partial(client.restore_run, run_id))
            typer.echo(run.model_dump_json() if as_json else f"{run.run_id} is restored, {run.status}.")


def export_runs(
    file: Annotated[str, typer.Argument(help="Where to write it; - for stdout.")] = "wattle-export.tar",
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Write all runs that have ended, models, sweeps, rules and so on into one tar of JSON lines and Parquet.

    The file is there once it is whole.
    """
    with _client(api) as client:
        if file == "-":
            _ask(lambda: _receive(client, sys.stdout.buffer))
            return
        half = Path(f"{file}{_HALF}")
        try:
            with half.open("wb") as target:
                size = _ask(lambda: _receive(client, target))
            half.replace(file)
        except OSError as error:
            raise _failed(f"{file} cannot be written: {error}") from error
        finally:
            half.unlink(missing_ok=True)
    if as_json:
        typer.echo(json.dumps({"file": file, "bytes": size}))
    else:
        typer.echo(f"{file}: {size / 2**20:,.1f} MiB", err=True)


def import_runs(
    file: Annotated[str, typer.Argument(help="An export; - for stdin.")],
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Take in an export; what is here stays as it is, so it can be repeated."""
    with _client(api) as client:
        try:
            with sys.stdin.buffer if file == "-" else Path(file).open("rb") as source:
                done = _ask(lambda: client.import_runs(_pieces(source)))
        except OSError as error:
            raise _failed(f"{file} cannot be read: {error}") from error
    text = f"{done.added} runs added, {done.known} were here already."
    if added := [f"{count} {kind}" for kind, count in done.others.items() if count]:
        text += f" Also added: {', '.join(added)}."
    if done.missing_channels:
        text += f" Alert rules name channels that are not set here: {', '.join(done.missing_channels)}."
    typer.echo(done.model_dump_json() if as_json else text)


def mount(program: typer.Typer) -> None:
    """Give ``wattle`` these commands."""
    program.add_typer(app, name="archive")
    program.command("export")(export_runs)
    program.command("import")(import_runs)


def _client(api: str | None) -> Client:
    try:
        return connect(api, timeout_s=60.0)
    except WattleError as error:
        raise _failed(str(error)) from error


def _ask(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except ApiUnavailable:
        raise  # has an exit code of its own
    except WattleError as error:
        raise _failed(str(error)) from error


def _is_same(one: ArchiveRound | None, other: ArchiveRound | None) -> bool:
    return one is not None and other is not None and one.begun_at == other.begun_at


def _failed(sentence: str) -> typer.Exit:
    typer.echo(f"wattle: {sentence}", err=True)
    return typer.Exit(1)


def _receive(client: Client, target: BinaryIO) -> int:
    size = 0
    with client.open_file("/api/export") as sent:
        for piece in sent.pieces():
            size += target.write(piece)
    return size


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_PIECE_BYTES):
        yield piece


def _describe(found: ArchiveReply) -> str:
    next_at = f"{found.next_at:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"{found.runs:,} archived runs, {found.points:,} points, {found.bytes / 2**20:,.1f} MiB",
        f"runs that ended {found.after_days:g} days ago are archived, next {next_at}",
    ]
    if found.under_way is not None:
        so_far = found.under_way
        lines.append(
            f"a round since {so_far.begun_at:%Y-%m-%d %H:%M} UTC: {so_far.moved} moved, {so_far.left} left"
        )
    if found.last is not None:
        problem = f", then: {found.last.problem}" if found.last.problem else ""
        lines.append(
            f"last round {found.last.begun_at:%Y-%m-%d %H:%M} UTC: {found.last.moved} moved, "
            f"{found.last.left} left{problem}"
        )
    return "\n".join(lines)
