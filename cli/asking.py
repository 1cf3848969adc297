"""One question to the API from a shell: an answer, or a sentence and exit code 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer
from pydantic import ValidationError

from client import Client
from errors import WattleError
from settings import load_settings

Answer = TypeVar("Answer")


def ask(command: str, question: Callable[[Client], Answer]) -> Answer:
    """Ask the API of WATTLE_API_URL with WATTLE_API_TOKEN."""
    try:
        settings = load_settings()
        with Client(settings.api_url, token=settings.shown_token) as api:
            return question(api)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except WattleError as error:
        reason = str(error)
    typer.echo(f"{command}: {reason}", err=True)
    raise typer.Exit(1)
