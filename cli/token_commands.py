"""API tokens from a shell: ``python -m cli.token_commands create NAME --scope submit``.

The first one is made on the backend's own machine, where none is needed; docs/security.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from client import Client
from errors import WattleError
from schema.access import Scope, TokenRequest
from settings import load_settings

Answer = TypeVar("Answer")
app = typer.Typer(help="API tokens: who may call, and how far.", no_args_is_help=True, add_completion=False)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="who or what will use it")],
    scope: Annotated[Scope, typer.Option(help="what it may do")] = Scope.READ,
    project: Annotated[str | None, typer.Option(help="the one project it reaches; without it, all")] = None,
    days: Annotated[int, typer.Option(help="how long it is valid; 0 for ever")] = 90,
) -> None:
    """Make a token and print it as JSON; its secret is never shown again."""
    typer.echo(
        _ask(
            lambda api: api.create_token(
                TokenRequest(name=name, scope=scope, project=project, expires_in_days=days or None)
            )
        ).model_dump_json()
    )


@app.command("list")
def list_tokens() -> None:
    """Print the tokens, the newest first, one JSON object a line."""
    for token in _ask(lambda api: api.list_tokens()):
        typer.echo(token.model_dump_json())


@app.command("revoke")
def revoke(token_id: Annotated[str, typer.Argument(help="its token_id, as list prints it")]) -> None:
    """Refuse a token from now on, and print what it was."""
    typer.echo(_ask(lambda api: api.revoke_token(token_id)).model_dump_json())


@app.command("audit")
def audit(limit: Annotated[int, typer.Option(help="most entries", min=1)] = 100) -> None:
    """Print who did what, oldest first, one JSON object a line."""
    for entry in _ask(lambda api: api.list_audit(limit=limit)).entries:
        typer.echo(entry.model_dump_json())


def _ask(question: Callable[[Client], Answer]) -> Answer:
    """Ask the API of WATTLE_API_URL with WATTLE_API_TOKEN; what goes wrong is a sentence and exit code 1."""
    try:
        settings = load_settings()
        with Client(settings.api_url, token=settings.shown_token) as api:
            return question(api)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except WattleError as error:
        reason = str(error)
    typer.echo(f"token: {reason}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
