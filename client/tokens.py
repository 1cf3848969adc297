"""The part of the client that is about API tokens and the audit log."""

from __future__ import annotations

from client.connection import Connection, segment
from schema.access import AuditReply, CallerReply, NewToken, Token, TokenRequest, TokensReply


class TokenCalls(Connection):
    """Who may call, and what admins did."""

    def create_token(self, request: TokenRequest) -> NewToken:
        """Make a token; its secret is in this answer alone."""
        body = request.model_dump(mode="json")
        return self._read(NewToken, self._send("POST", "/api/tokens", json=body))

    def list_tokens(self) -> list[Token]:
        """Return the tokens, the newest first."""
        return self._read(TokensReply, self._send("GET", "/api/tokens")).tokens

    def revoke_token(self, token_id: str) -> Token:
        """Refuse a token from now on; returns what it was."""
        headers = {"Content-Type": "application/json"}
        path = f"/api/tokens/{segment(token_id)}"
        return self._read(Token, self._send("DELETE", path, headers=headers))

    def get_caller(self) -> CallerReply:
        """Return who asks, as the backend sees it, and what they may do."""
        return self._read(CallerReply, self._send("GET", "/api/caller"))

    def list_audit(
        self,
        *,
        after: str | None = None,
        before: str | None = None,
        contains: str | None = None,
        limit: int = 100,
    ) -> AuditReply:
        """Return entries of the audit log, oldest first: the first after one, or the newest before one."""
        asked = {"after": after, "before": before, "contains": contains}
        params = {"limit": str(limit)} | {name: text for name, text in asked.items() if text}
        return self._read(AuditReply, self._send("GET", "/api/audit", params=params))
