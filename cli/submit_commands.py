"""``wattle submit``: queue a run from a shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from time import sleep
from typing import Annotated, Any, Final

import typer
from pydantic import JsonValue, ValidationError

from cli.asking import Api, AsJson, Key, Like, Params, Trainer, connect, find_run, read_value
from cli.showing import print_json, say, tell
from client import Client
from errors import InvalidInput
from schema import RunOptions, RunReply, Status, TrainReply

app = typer.Typer()

LOOK_S: Final = 1.0
Body = Annotated[
    str | None,
    typer.Argument(
        help='JSON: the hyper_params, or {"hyper_params": …, "options": …}; @file reads it from a file, '
        "- from the standard input."
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="NAME=VALUE", help="How it is run: queue, project, priority, …"),
]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="A label; may be given often.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until it has ended; 1 where it does not end as done.")]


@app.command("submit")
def submit_run(
    body: Body = None,
    param: Params = None,
    trainer: Trainer = None,
    option: Option = None,
    tag: Tag = None,
    like: Like = None,
    key: Key = None,
    wait: Wait = False,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Queue a run and print its id."""
    changes = dict(read_value(text) for text in param or ()) | ({"trainer": trainer} if trainer else {})
    options = dict(read_value(text) for text in option or ())
    if tag:
        options["tags"] = [*tag]
    is_one_source = (body is None) != (like is None) or (body is None and bool(changes))
    if not is_one_source:
        raise typer.BadParameter("give a body, -p NAME=VALUE, or --like with the id of a run; see --help")
    with connect(api) as client:
        queued: TrainReply | RunReply = (
            _submit(client, body, changes, options, key)
            if like is None
            else client.rerun_run(find_run(client, like), changes, options=options, idempotency_key=key)
        )
        print_json(queued) if as_json else say(queued.iid)
        if wait and not _wait_for(client, queued.iid, as_json=as_json):
            raise typer.Exit(1)


def _submit(
    client: Client,
    text: str | None,
    changes: Mapping[str, JsonValue],
    more: Mapping[str, Any],
    key: str | None,
) -> TrainReply:
    body = {} if text is None else _read_body(text)
    is_flat = "hyper_params" not in body
    params: JsonValue = dict(body) if is_flat else body["hyper_params"]
    if not isinstance(params, dict):
        raise InvalidInput('hyper_params has to be a JSON object, such as {"num_epochs": 5}.')
    given = None if is_flat else body.get("options")
    return client.submit({**params, **changes}, _read_options(given or {}, more), idempotency_key=key)


def _read_options(given: JsonValue, more: Mapping[str, Any]) -> RunOptions:
    if not isinstance(given, dict):
        raise InvalidInput('options has to be a JSON object, such as {"queue": "default"}.')
    try:
        return RunOptions.model_validate({**given, **more})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"options.{place}: {first['msg']}. Correct it, or leave it out.") from error


def _read_body(text: str) -> Mapping[str, JsonValue]:
    """Return what is to be queued. Raises OSError for a file, InvalidInput for what is no JSON object."""
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text("utf-8")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InvalidInput(
            f'The body is no JSON: {error}. Send an object such as {{"num_epochs": 5}}.'
        ) from error
    if not isinstance(body, dict):
        raise InvalidInput('The body is no JSON object. Send one such as {"num_epochs": 5}.')
    return body


def _wait_for(client: Client, iid: str, *, as_json: bool) -> bool:
    while not (run := client.get_run(iid, fields=())).status.is_final:
        sleep(LOOK_S)
    print_json(run) if as_json else tell(f"run {iid} is {run.status}")
    return run.status is Status.DONE
