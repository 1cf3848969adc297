"""How commands reach the API, and what the id of a run means on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from client import Client
from errors import ApiRefused, InvalidInput, NotFound, WattleError
from settings import load_settings

Answer = TypeVar("Answer")
_PATIENCE_S = 30.0
# A shell that waits for a completion longer than this feels broken.
_COMPLETION_S = 1.0
_NAMES_SHOWN = 4


def connect(api: str | None, *, timeout_s: float = _PATIENCE_S) -> Client:
    """Return a client of the API at ``api``, or where the settings say; the one place that makes one."""
    settings = load_settings()
    return Client(api or settings.api_url, token=settings.shown_token, timeout_s=timeout_s)


def ask(question: Callable[[Client], Answer], *, api: str | None = None) -> Answer:
    """Ask the API one thing. Raises InvalidInput for what it would not take, before it is sent."""
    with connect(api) as client:
        try:
            return question(client)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def find_run(client: Client, text: str) -> str:
    """Return the id of the run that ``text`` is, or is the beginning of.

    Raises NotFound when there is none, InvalidInput when there are several.
    """
    try:
        return client.get_run(text, fields=()).run_id
    except ApiRefused as refusal:
        if refusal.status != 404 or not text.replace("-", "").replace("_", "").isalnum():
            raise
    found = client.search_runs(f"id:{text}").run_ids
    return _the_one("run", "wattle status", text, found)


def find_sweep(client: Client, text: str) -> str:
    """Return the id of the sweep that ``text`` is the beginning of; raises as ``find_run``."""
    ids = [sweep.sweep_id for sweep in client.list_sweeps(limit=1_000).sweeps]
    return _the_one("sweep", "wattle sweep list", text, [known for known in ids if known.startswith(text)])


def _the_one(kind: str, remedy: str, text: str, found: list[str]) -> str:
    if not found:
        raise NotFound(f"No {kind} begins with {text!r}. '{remedy}' lists them.")
    if len(found) > 1:
        names = ", ".join(sorted(found)[:_NAMES_SHOWN]) + (", …" if len(found) > _NAMES_SHOWN else "")
        raise InvalidInput(
            f"{len(found)} {kind}s begin with {text!r}: {names}. Give more characters of the id."
        )
    return found[0]


def _complete(ask: Callable[[Client], Iterable[str]], beginning: str) -> list[str]:
    """Return what a shell offers; nothing where the API is away, which is no reason to disturb a prompt."""
    try:
        with connect(None, timeout_s=_COMPLETION_S) as client:
            return [name for name in ask(client) if name.startswith(beginning)]
    except WattleError:
        return []


def complete_run(incomplete: str) -> list[str]:
    """Return the ids of new runs that begin so."""
    return _complete(lambda client: (run.run_id for run in client.list_runs(limit=100).results), incomplete)


def _complete_sweep(incomplete: str) -> list[str]:
    return _complete(lambda client: (sweep.sweep_id for sweep in client.list_sweeps().sweeps), incomplete)


def _complete_trainer(incomplete: str) -> list[str]:
    return _complete(lambda client: (known.name for known in client.list_trainers().trainers), incomplete)


Api = Annotated[
    str | None, typer.Option("--api", metavar="URL", help="Where the API is; else WATTLE_API_URL.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the API answered, as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Key = Annotated[str | None, typer.Option("--key", help="An Idempotency-Key: repeated with it, done once.")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", "--set", metavar="NAME=VALUE", help="A hyperparameter: JSON, or a text."),
]
RunText = Annotated[
    str, typer.Argument(metavar="RUN", autocompletion=complete_run, help="Its id, or the beginning of it.")
]
RunTexts = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", autocompletion=complete_run, help="Their ids, or beginnings of them."),
]
Like = Annotated[
    str | None,
    typer.Option("--like", metavar="RUN", autocompletion=complete_run, help="Rerun that run."),
]
SweepText = Annotated[
    str,
    typer.Argument(metavar="SWEEP", autocompletion=_complete_sweep, help="Its id, or the beginning of it."),
]
Trainer = Annotated[
    str | None, typer.Option("--trainer", "-t", autocompletion=_complete_trainer, help="What trains it.")
]
