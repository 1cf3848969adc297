"""API tokens: what is known of each, and the hash of its secret, never the secret."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from errors import Conflict, NotFound, StoreUnavailable
from schema.access import MAX_TOKENS, SECRET_START, NewToken, Token, TokenRequest
from store.connection import Connection
from store.encoding import to_json, to_time
from store.keys import Keys

log = logging.getLogger(__name__)

_ID_DIGITS: Final = 16
_NOTED_EVERY_S: Final = 60
TokenList = list[Token]


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal.

    Quick on purpose: each request needs it, and a secret of 256 random bits cannot be guessed from it.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class Tokens:
    """Tokens by their ids, which are how the hashes of their secrets begin."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def create(self, request: TokenRequest) -> NewToken:
        """Make a token; its secret is in the answer and nowhere else.

        Raises Conflict when there are MAX_TOKENS.
        """
        if self._connection.call("HLEN", self._keys.of("tokens")) >= MAX_TOKENS:
            raise Conflict(f"There are {MAX_TOKENS} tokens, and no more are kept. Revoke some first.")
        secret = SECRET_START + secrets.token_urlsafe(32)
        digest = hash_of(secret)
        seconds, _ = self._connection.call("TIME")
        now = to_time(seconds)
        days = request.expires_in_days
        token = Token(
            token_id=digest[:_ID_DIGITS],
            name=request.name,
            scope=request.scope,
            project=request.project,
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
            names_people=request.names_people,
        )
        stored = {"hash": digest} | token.model_dump(mode="json", exclude_none=True)
        self._connection.call("HSET", self._keys.of("tokens"), token.token_id, to_json(stored))
        return NewToken.of(token, secret)

    def find(self, secret: str) -> tuple[Token, datetime] | None:
        """Return the token of a secret and the time by Redis' clock; None where no token has it.

        It may have expired. That it was used is noted once a minute. (use_token.lua)
        """
        digest = hash_of(secret)
        token_id = digest[:_ID_DIGITS]
        text, used, (seconds, _) = self._connection.call_many(
            [
                ("HGET", self._keys.of("tokens"), token_id),
                ("HGET", self._keys.of("tokens_used"), token_id),
                ("TIME",),
            ]
        )
        stored = None if text is None else _decode(text, used)
        if stored is None or not hmac.compare_digest(stored[0], digest):
            return None
        if used is None or int(seconds) - float(used) >= _NOTED_EVERY_S:
            keys = [self._keys.of("tokens"), self._keys.of("tokens_used")]
            with suppress(
                StoreUnavailable
            ):  # while Redis is full; it was found, and its use is noted another time
                self._connection.run("use_token", keys, [token_id, seconds])
        return stored[1], to_time(seconds)

    def list(self) -> TokenList:
        """Return all tokens, the newest first."""
        stored, used = self._connection.call_many(
            [("HGETALL", self._keys.of("tokens")), ("HGETALL", self._keys.of("tokens_used"))]
        )
        read = (_decode(text, used.get(token_id)) for token_id, text in stored.items())
        tokens = [found[1] for found in read if found is not None]
        return sorted(tokens, key=lambda token: (token.created_at, token.token_id), reverse=True)

    def get(self, token_id: str) -> Token:
        """Return one token. Raises NotFound when there is none of that id."""
        text, used = self._connection.call_many(
            [
                ("HGET", self._keys.of("tokens"), token_id),
                ("HGET", self._keys.of("tokens_used"), token_id),
            ]
        )
        found = None if text is None else _decode(text, used)
        if found is None:
            raise _unknown(token_id)
        return found[1]

    def revoke(self, token_id: str) -> None:
        """Forget a token: from now on it is refused. Raises NotFound when there is none of that id."""
        gone, _ = self._connection.call_many(
            [
                ("HDEL", self._keys.of("tokens"), token_id),
                ("HDEL", self._keys.of("tokens_used"), token_id),
            ]
        )
        if not gone:
            raise _unknown(token_id)


def _decode(text: str, used: str | None) -> tuple[str, Token] | None:
    """Return the hash of a secret and its token; None for what another version wrote and this cannot read.

    What cannot be judged is refused, and its record is not repeated in the log.
    """
    try:
        stored: dict[str, Any] = json.loads(text)
        digest = str(stored.pop("hash"))
        last_used_at = None if used is None else to_time(used)
        return digest, Token.model_validate({**stored, "last_used_at": last_used_at}, extra="ignore")
    except (ValueError, KeyError, ValidationError) as error:
        log.warning("a token cannot be read, and is refused kind=%s", type(error).__name__)
        return None


def _unknown(token_id: str) -> NotFound:
    return NotFound(f"There is no token {token_id[:64]!r}. GET /api/tokens lists those there are.")
