"""API tokens from a shell: ``wattle token create NAME --scope submit``.

The first one is made on the backend's own machine, where none is needed; docs/security.md.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cli.connecting import Api, ask
from schema.access import AUDIT_ENTRIES, Scope, TokenRequest

app = typer.Typer(help="API tokens: who may call, and how far.", no_args_is_help=True, add_completion=False)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="who or what will use it")],
    scope: Annotated[Scope, typer.Option(help="what it may do")] = Scope.READ,
    project: Annotated[str | None, typer.Option(help="the one project it reaches; without it, all")] = None,
    days: Annotated[int, typer.Option(help="how long it is valid; 0 for ever")] = 90,
    names_people: Annotated[
        bool, typer.Option("--names-people", help="the audit log believes it who it asks for: for the page")
    ] = False,
    api: Api = None,
) -> None:
    """Make a token and print it as JSON; its secret is never shown again."""
    made = ask(
        lambda client: client.create_token(
            TokenRequest(
                name=name,
                scope=scope,
                project=project,
                expires_in_days=days or None,
                names_people=names_people,
            )
        ),
        api=api,
    )
    typer.echo(made.model_dump_json())


@app.command("list")
def list_tokens(api: Api = None) -> None:
    """Print the tokens, the newest first, one JSON object a line."""
    for token in ask(lambda client: client.list_tokens(), api=api):
        typer.echo(token.model_dump_json())


@app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(help="its token_id, as list prints it")], api: Api = None
) -> None:
    """Refuse a token from now on, and print what it was."""
    typer.echo(ask(lambda client: client.revoke_token(token_id), api=api).model_dump_json())


@app.command("audit")
def audit(
    limit: Annotated[int, typer.Option(help="most entries", min=1, max=AUDIT_ENTRIES)] = 100,
    contains: Annotated[str | None, typer.Option(help="a text in any field of an entry")] = None,
    api: Api = None,
) -> None:
    """Print who did what, oldest first, one JSON object a line."""
    for entry in ask(lambda client: client.list_audit(limit=limit, contains=contains), api=api).entries:
        typer.echo(entry.model_dump_json())
