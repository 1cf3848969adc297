"""What the page Access calls things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from errors import ApiRefused
from schema.access import AuditEntry, CallerReply, Scope, Token
from schema.quotas import Quota, QuotaName
from views import format as fmt
from views.look import PillColor

TokenState = Literal["active", "expires soon", "expired", "never used"]

STATE_COLORS: Final[Mapping[TokenState, PillColor]] = {
    "active": "green",
    "expires soon": "orange",
    "expired": "red",
    "never used": "gray",
}
STATE_ICONS: Final[Mapping[TokenState, str]] = {
    "active": ":material/check_circle:",
    "expires soon": ":material/timer:",
    "expired": ":material/block:",
    "never used": ":material/hourglass_empty:",
}
SCOPES: Final[Mapping[Scope, str]] = {
    Scope.READ: "read: look at everything",
    Scope.SUBMIT: "submit: queue and steer runs, too",
    Scope.ADMIN: "admin: everything",
}
LIMITS: Final[Mapping[QuotaName, tuple[str, str]]] = {
    "waiting_runs": ("Waiting runs", ""),
    "running_runs": ("Running runs", ""),
    "gpu_hours": ("GPU-hours today", "h"),
    "energy_wh": ("Energy today", "Wh"),
    "co2_g": ("CO₂ today", "g"),
}
OPEN: Final = (
    "**Tokens are off on this machine.** Its programs, this page too, may do everything without one. A "
    "request from another machine or through a proxy always needs a token: make one here for who sends it. "
    "`WATTLE_REQUIRE_TOKEN=true` asks this machine's programs for one, too."
)
_SOON: Final = timedelta(days=7)


class Bar(NamedTuple):
    """One limit of a quota and what is used of it."""

    share: float
    text: str


def token_state(token: Token, now: datetime) -> TokenState:
    """Say how a token stands, the most urgent first."""
    if token.is_expired(now):
        return "expired"
    if token.expires_at is not None and token.expires_at - now < _SOON:
        return "expires soon"
    return "active" if token.last_used_at else "never used"


def token_facts(token: Token, now: datetime) -> str:
    """Say in a line what is known of a token beside its name and state."""
    expires = (
        "never expires"
        if token.expires_at is None
        else f"{'expired' if token.is_expired(now) else 'expires'} {fmt.utc(token.expires_at)}"
    )
    # That it was never used is its state, unless something more urgent is.
    is_said = token_state(token, now) == "never used"
    used = f"last used {fmt.ago(token.last_used_at, now)}" if token.last_used_at else "never used"
    facts = [
        f"project {token.project}" if token.project else "all projects",
        f"created {fmt.utc(token.created_at)}",
        expires,
        *([] if is_said else [used]),
        *(["may name people"] if token.names_people else []),
    ]
    return fmt.plain(" · ".join(facts))


def matches(token: Token, wanted: str) -> bool:
    """Whether a token is one that somebody looks for."""
    texts = (token.name, token.token_id, token.scope.value, token.project or "")
    return wanted.strip().casefold() in "\n".join(texts).casefold()


def quota_title(quota: Quota, tokens: Sequence[Token]) -> str:
    """Name whose quota it is; a token by its name where there is one."""
    if quota.owner == "project":
        return f"Project **{fmt.plain(quota.name)}**"
    name = next((token.name for token in tokens if token.token_id == quota.name), "of a token that is gone")
    return f"Token **{fmt.plain(name)}** `{quota.name}`"


def bars(quota: Quota) -> list[Bar]:
    """Return what is used of each limit there is."""
    found = []
    for name, (label, unit) in LIMITS.items():
        limit, used = getattr(quota.limits, name), getattr(quota.used, name)
        if limit is None:
            continue
        amounts = f"{_amount(used)} of {_amount(limit)}" + (f" {unit}" if unit else "")
        full = ": used up" if used >= limit else ""
        found.append(Bar(min(1.0, used / limit) if limit else 1.0, f"{label}: {amounts}{full}"))
    return found


def action_text(entry: AuditEntry) -> str:
    """Say what was asked for: "tokens.create_token" is "create token"."""
    return entry.action.rpartition(".")[2].replace("_", " ")


def who(entry: AuditEntry) -> str:
    """Name who did it: the person, where a page has said so that may."""
    return f"{entry.person} via {entry.who}" if entry.person else entry.who


def refusal(error: ApiRefused, caller: CallerReply | None, role: Scope | None) -> str:
    """Say why tokens, quotas and the audit log are not shown, and what to do; Markdown.

    role: of who is logged in; None without a login.
    """
    if role is not None and role is not Scope.ADMIN:
        return (
            f"**Only admins see who may do what.** Your role on this page is {role}. Whoever runs it "
            "gives roles with `WATTLE_PAGE_ROLES`."
        )
    make = (
        "Make one on the backend's machine with `wattle token create page --scope admin`, give it to the "
        "page as `WATTLE_API_TOKEN` and restart the page."
    )
    if caller is None:
        return (
            "**The API wants a token that it knows**, and this page has none, or one that was revoked or has "
            f"expired. {make}"
        )
    if caller.project is not None:
        return f"**This page's token is of the project {fmt.plain(caller.project)} alone.** {make}"
    if caller.scope is not Scope.ADMIN:
        return (
            f"**This page's token may not see who may do what**: it has the scope {caller.scope}, and this "
            f"takes admin. {make} Or use `wattle token` and `wattle quota` there."
        )
    return fmt.plain_lines(str(error))


def _amount(value: float) -> str:
    return fmt.count(round(value)) if value == round(value) else fmt.significant(value)
