"""What may be done on this page now: what the page's own token reaches, and who is logged in."""

from __future__ import annotations

import streamlit as st

from errors import ApiError
from schema.access import CallerReply, Scope
from views import people, source

_KEPT_S = 30


def is_allowed(needed: Scope) -> bool:
    """Whether who looks at the page may do what needs a scope.

    For buttons: a refusal in time. The page refuses the request itself too, and so does the API.
    """
    return scope().covers(needed)


def can_submit() -> bool:
    """Whether runs may be queued and steered here."""
    return is_allowed(Scope.SUBMIT)


def can_administer() -> bool:
    """Whether what only admins may do may be done here."""
    return is_allowed(Scope.ADMIN)


def scope() -> Scope:
    """Return how far somebody gets here; everywhere as long as the API does not say otherwise."""
    person = people.current()
    role = Scope.ADMIN if person is None else person.role or Scope.READ
    caller = _caller(role)
    return role if caller is None or caller.scope.covers(role) else caller.scope


def caller() -> CallerReply | None:
    """Return whom the API takes this page for; None while it does not say."""
    person = people.current()
    return _caller(Scope.ADMIN if person is None else person.role or Scope.READ)


# Of each role: the API is told it, and answers what is left of its token's scope.
@st.cache_data(ttl=_KEPT_S, show_spinner=False)
def _caller(role: Scope) -> CallerReply | None:  # noqa: ARG001 - a key of the cache
    try:
        return source.api().get_caller()
    except ApiError:
        return None
