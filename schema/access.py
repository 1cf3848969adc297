"""Who may do what: API tokens, and what was done with them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, StringConstraints

from schema.external import check_printable
from schema.records import Project
from schema.values import Record

MAX_TOKENS: Final = 10_000
MAX_DAYS: Final = 3_650
SECRET_START: Final = "wattle_"  # noqa: S105 - how each begins is no secret
"""Every secret begins with it, so that programs that look for leaked secrets find one."""
AUDIT_ENTRIES: Final = 10_000


class Scope(StrEnum):
    """What a token may do; each may all that the ones before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def covers(self, needed: Scope) -> bool:
        """Whether who has this scope may do what needs the other."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


TokenName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    AfterValidator(check_printable),
]


class TokenRequest(Record):
    """The body of POST /api/tokens."""

    name: TokenName = Field(description="who or what uses it, for the list and the audit log")
    scope: Scope = Field(Scope.READ, description="read, submit (read and write runs) or admin (everything)")
    project: Project | None = Field(None, description="it sees and writes this project alone; null for all")
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_DAYS, strict=True)] | None = Field(
        90, description="null for never"
    )


class Token(Record):
    """A token as everybody may know it: without its secret, of which only a hash is stored."""

    token_id: str
    name: str
    scope: Scope
    project: str | None = None
    created_at: datetime
    expires_at: datetime | None = Field(None, description="from then on it is refused; null for never")
    last_used_at: datetime | None = Field(None, description="to the minute; null when it was never used")

    def is_expired(self, now: datetime) -> bool:
        """Whether it is refused at that time."""
        return self.expires_at is not None and self.expires_at <= now


class NewToken(Token):
    """A token that was just made, with its secret, which nothing shows again."""

    secret: str

    @classmethod
    def of(cls, token: Token, secret: str) -> Self:
        """Put both together."""
        return cls(**token.model_dump(), secret=secret)


class TokensReply(Record):
    """All tokens, the newest first."""

    tokens: list[Token]


class AuditEntry(Record):
    """One thing that somebody did."""

    entry_id: str
    time: datetime
    who: str = Field(description="name and id of a token, loopback, or WATTLE_ADMIN_TOKEN")
    address: str = Field(description="of the caller, as the backend saw it")
    action: str = Field(description="what was asked for, such as controls.delete_run")
    target: str = Field(description="method and path")
    status: int = Field(description="how it was answered, an HTTP status")
    detail: str = ""


class AuditReply(Record):
    """Part of the audit log, oldest first."""

    entries: list[AuditEntry]
