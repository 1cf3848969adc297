"""``wattle submit``: queue a run from a shell."""

from __future__ import annotations

from collections.abc import Mapping
from time import sleep
from typing import Annotated, Any, Final

import typer
from pydantic import JsonValue

from cli.connecting import Api, AsJson, Key, Like, Params, Trainer, connect, find_run
from cli.given import make_record, read_object, read_value
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
    body = {} if text is None else read_object(text)
    is_flat = "hyper_params" not in body
    params: JsonValue = dict(body) if is_flat else body["hyper_params"]
    if not isinstance(params, dict):
        raise InvalidInput('hyper_params has to be a JSON object, such as {"num_epochs": 5}.')
    given: JsonValue = {} if is_flat else body.get("options") or {}
    if not isinstance(given, dict):
        raise InvalidInput('options has to be a JSON object, such as {"queue": "default"}.')
    options = make_record(RunOptions, {**given, **more}, place="options")
    return client.submit({**params, **changes}, options, idempotency_key=key)


def _wait_for(client: Client, iid: str, *, as_json: bool) -> bool:
    while not (run := client.get_run(iid, fields=())).status.is_final:
        sleep(LOOK_S)
    print_json(run) if as_json else tell(f"run {iid} is {run.status}")
    return run.status is Status.DONE
