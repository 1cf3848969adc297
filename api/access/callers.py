"""Who makes the present request, and which project they are kept to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from flask import g, has_request_context

from errors import NotAllowed, NotFound
from schema import DEFAULT_PROJECT, Run, RunOptions
from schema.access import ROLE_HEADER, Scope, Token

_CALLER: Final = "wattle_caller"
_DETAIL: Final = "wattle_audit_detail"


@dataclass(frozen=True)
class Caller:
    """Who asks; without a project they reach all of them."""

    name: str
    scope: Scope
    project: str | None = None
    token_id: str | None = None
    names_people: bool = False
    """Whether it is believed who it asks for."""
    person: str | None = None
    is_narrowed: bool = False
    """Whether the scope is that of a role the request itself has stated."""

    @classmethod
    def of(cls, token: Token) -> Caller:
        """Take who a token stands for."""
        return cls(
            f"{token.name} ({token.token_id})",
            token.scope,
            token.project,
            token.token_id,
            names_people=token.names_people,
        )


LIVE_PAGE: Final = Caller("a live page", Scope.READ)
LOOPBACK: Final = Caller("loopback", Scope.ADMIN, names_people=True)
ADMIN: Final = Caller("WATTLE_ADMIN_TOKEN", Scope.ADMIN, names_people=True)
PROMETHEUS: Final = Caller("WATTLE_METRICS_TOKEN", Scope.READ)


def set_caller(caller: Caller | None) -> None:
    """Note who makes this request; None for a stranger."""
    setattr(g, _CALLER, caller)


def find_caller() -> Caller | None:
    """Return who makes this request; None for a stranger, and before the guard has looked."""
    found: Caller | None = getattr(g, _CALLER, None)
    return found


def note_detail(detail: str) -> None:
    """Say more about this request for the audit log; never a secret."""
    setattr(g, _DETAIL, detail)


def noted_detail() -> str:
    """Return what was said about this request."""
    return str(getattr(g, _DETAIL, ""))


def bound_project() -> str | None:
    """Return the project that the caller is kept to; None for one who reaches all."""
    caller = find_caller() if has_request_context() else None
    return caller.project if caller else None


def token_id() -> str | None:
    """Return the id of the token that the caller has shown; None without one."""
    caller = find_caller()
    return caller.token_id if caller else None


def own_project(asked: str | None) -> str | None:
    """Return the project to look at: the one asked for, or for a token of one project that one.

    Raises NotAllowed when a token of one project asks for another.
    """
    bound = bound_project()
    if bound is not None and asked not in (None, bound):
        raise NotAllowed(
            f"This token is of the project {bound!r} and reaches no other. Leave project out, or use a token "
            "of all projects."
        )
    return asked if bound is None else bound


def own_options(options: RunOptions) -> RunOptions:
    """Return options with the project that the caller is kept to. Raises NotAllowed for another.

    The default project counts as none: programs send it without having been asked to.
    """
    if bound_project() is None:
        return options
    asked = None if options.project == DEFAULT_PROJECT else options.project
    return options.model_copy(update={"project": own_project(asked)})


def own_key(key: str | None) -> str | None:
    """Return an Idempotency-Key that another project's callers cannot have."""
    bound = bound_project()
    if bound is None or key is None:
        return key
    return hashlib.sha256(f"{bound} {key}".encode()).hexdigest()


def check_own(run: Run) -> Run:
    """Return a run that the caller reaches. Raises NotFound for another, as if it did not exist."""
    bound = bound_project()
    if bound is not None and run.options.project != bound:
        raise NotFound(f"There is no run {run.run_id[:80]!r}. The list of runs shows those that exist.")
    return run


def check_scope(needed: Scope, what: str) -> None:
    """Raise NotAllowed when the caller's scope does not cover what they ask for."""
    caller = find_caller()
    if caller is None or caller.scope.covers(needed):
        return
    if caller.is_narrowed:
        raise NotAllowed(
            f"{what} needs the role {needed}, and this request was kept to {caller.scope} by {ROLE_HEADER}. "
            "On a page with a login, whoever runs it gives roles with WATTLE_PAGE_ROLES."
        )
    raise NotAllowed(
        f"{what} needs a token with the scope {needed}, and this one has {caller.scope}. An admin makes "
        f"one with: wattle token create NAME --scope {needed}"
    )
