"""API tokens: who may call."""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api.access.callers import LOOPBACK, find_caller, note_detail
from api.body import reply
from api.state import db
from schema.access import CallerReply, NewToken, Token, TokenRequest, TokensReply
from schema.quotas import QuotaLimits

tokens = APIBlueprint("tokens", __name__, tag="Access")


@tokens.get("/api/tokens")
@tokens.output(TokensReply)
def list_tokens() -> Response:
    """Answer the API tokens, the newest first, without their secrets."""
    return reply(TokensReply(tokens=db().tokens.list()))


@tokens.get("/api/caller")
@tokens.output(CallerReply)
def get_caller() -> Response:
    """Answer who asks, and what they may do."""
    caller = find_caller() or LOOPBACK
    return reply(
        CallerReply(
            name=caller.name,
            scope=caller.scope,
            project=caller.project,
            person=caller.person,
            names_people=caller.names_people,
            has_token=caller.name != LOOPBACK.name,
        )
    )


@tokens.post("/api/tokens")
@tokens.input(TokenRequest, arg_name="body")
@tokens.output(NewToken, status_code=201)
def create_token(body: TokenRequest) -> Response:
    """Make an API token. Its secret is in this answer and is never shown again: only a hash of it is kept."""
    made = db().tokens.create(body)
    _note(made)
    response = reply(made, HTTPStatus.CREATED)
    response.headers["Cache-Control"] = "no-store"
    return response


@tokens.delete("/api/tokens/<token_id>")
@tokens.output(Token)
def revoke_token(token_id: str) -> Response:
    """Revoke a token: it is refused from now on. Answers what it was; 404 when there is none of that id."""
    found = db().tokens.get(token_id)
    db().tokens.revoke(token_id)
    db().quotas.put("token", token_id, QuotaLimits())
    _note(found)
    return reply(found)


def _note(token: Token) -> None:
    trusted = ", may name people" if token.names_people else ""
    note_detail(
        f"{token.name} ({token.token_id}) {token.scope} of {token.project or 'all projects'}{trusted}"
    )
