"""Who may do what: API tokens, and what was done with them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Network, ip_network
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


UNIX_PEER: Final = "unix"
"""Among trusted proxies, whoever comes through a unix socket."""
GROUP_PREFIX: Final = "group:"
"""Before the name of a group that has a role on the page."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_IPV4_BITS: Final = 0xFFFF_FFFF


def _check_proxy(text: str) -> str:
    """Return an address or a network. Raises ValueError, which says what is wrong with it."""
    if text == UNIX_PEER:
        return text
    network = ip_network(text)
    # Who is asked about is unwrapped first, so that such an entry would match nobody.
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        unwrapped = ip_network((int(network.network_address) & _IPV4_BITS, network.prefixlen - 96))
        raise ValueError(f"{text!r} is an IPv4 address inside IPv6: write it as {unwrapped}")
    return text


def _check_role(text: str) -> str:
    """Return who has which role. Raises ValueError for anything else."""
    who, _, role = text.rpartition("=")
    if role.strip() not in tuple(Scope) or not ("@" in who or who.startswith(GROUP_PREFIX)):
        raise ValueError(
            f"{text!r} should be an address, an @domain or group:NAME, then = and read, submit or admin"
        )
    return text


TrustedProxy = Annotated[str, AfterValidator(_check_proxy)]
PageRole = Annotated[str, AfterValidator(_check_role)]
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
    names_people: Annotated[bool, Field(strict=True)] = Field(
        False, description="whether the audit log believes it who it asks for: a page whose readers log in"
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
    names_people: bool = Field(False, description="whether the audit log believes it who it asks for")

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


PERSON_HEADER: Final = "Wattle-Person"
"""Names who a program asks for, percent-encoded UTF-8; believed of those who may name people."""
ROLE_HEADER: Final = "Wattle-Role"
"""The scope that a request is kept to, whatever its token may."""
MAX_PERSON: Final = 200


class CallerReply(Record):
    """Who asks, as the backend sees it."""

    name: str = Field(description="name and id of the token, loopback, or WATTLE_ADMIN_TOKEN")
    scope: Scope = Field(description="what the caller may do, Wattle-Role considered")
    project: str | None = Field(None, description="the one project it reaches; null for all")
    person: str | None = Field(None, description="who it asks for, where it may name people")
    names_people: bool = Field(description="whether Wattle-Person is believed")
    has_token: bool = Field(description="false on the backend's own machine, where none is asked for")


class AuditEntry(Record):
    """One thing that somebody did."""

    entry_id: str
    time: datetime
    who: str = Field(description="name and id of a token, loopback, or WATTLE_ADMIN_TOKEN")
    person: str = Field("", description="who it asked for: who was logged in to a page that may name people")
    address: str = Field(description="of the caller: behind a trusted proxy, as that one says")
    action: str = Field(description="what was asked for, such as controls.delete_run")
    target: str = Field(description="method and path")
    status: int = Field(description="how it was answered, an HTTP status")
    detail: str = ""


class AuditReply(Record):
    """Part of the audit log, oldest first."""

    entries: list[AuditEntry]
    older: str | None = Field(None, description="give it as before for what came earlier; null at the end")
