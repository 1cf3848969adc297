"""Queue a run from a shell: ``python -m cli.submit '{"trainer": "cnn", "num_epochs": 5}'``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue, ValidationError

from client import Client
from errors import ApiError
from schema import RunOptions, Status
from settings import load_settings

_LOOK_S: Final = 1.0


def main(arguments: Sequence[str] | None = None, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Queue a run and print its id; with --wait, return 1 where it does not end as done."""
    given = _parser().parse_args(arguments)
    address = given.api or load_settings().api_url
    try:
        with Client(address, timeout_s=30) as api:
            iid = _queue(api, given)
            print(iid, flush=True)
            if not given.wait:
                return 0
            status = _wait(api, iid, sleep)
    except (ApiError, OSError, ValueError) as error:
        sys.stderr.write(f"submit: {_sentence(error)}\n")
        return 1
    sys.stderr.write(f"run {iid} is {status}\n")
    return 0 if status is Status.DONE else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cli.submit", description="Queue a run and print its id.")
    parser.add_argument(
        "body",
        nargs="?",
        help='JSON: the hyper_params, or {"hyper_params": …, "options": …}; @file reads it from a file, '
        "- from the standard input",
    )
    parser.add_argument("--like", metavar="RUN", help="rerun that run, instead of a body")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a hyperparameter: JSON, or a text",
    )
    parser.add_argument("--key", help="an Idempotency-Key: with the same one it is queued once")
    parser.add_argument("--wait", action="store_true", help="until the run has ended")
    parser.add_argument("--api", metavar="URL", help="of the backend; else WATTLE_API_URL")
    return parser


def _queue(api: Client, given: argparse.Namespace) -> str:
    changes = dict(_read_change(text) for text in given.set)
    if (given.body is None) == (given.like is None):
        raise ValueError("give either a body or --like with the id of a run; see --help")
    if given.like is not None:
        return api.rerun_run(given.like, changes, idempotency_key=given.key).run_id
    body = _read_body(given.body)
    is_flat = "hyper_params" not in body
    params = body if is_flat else body["hyper_params"]
    if not isinstance(params, dict):
        raise ValueError("hyper_params has to be a JSON object")
    options = RunOptions.model_validate({} if is_flat else body.get("options") or {})
    return api.submit({**params, **changes}, options, idempotency_key=given.key).iid


def _read_body(text: str) -> Mapping[str, JsonValue]:
    """Return what is to be queued. Raises OSError for a file, ValueError for what is no JSON object."""
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text("utf-8")
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError('send a JSON object, such as {"num_epochs": 5}')
    return body


def _read_change(text: str) -> tuple[str, JsonValue]:
    name, is_pair, value = text.partition("=")
    if not (name and is_pair):
        raise ValueError(f"--set takes NAME=VALUE, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _wait(api: Client, iid: str, sleep: Callable[[float], None]) -> Status:
    while not (status := api.get_run(iid, fields=()).status).is_final:
        sleep(_LOOK_S)
    return status


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"options.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError):
        return f"the body is no JSON: {error}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
