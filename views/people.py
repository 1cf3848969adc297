"""Who looks at the page and what they may do there, where it asks for a login (decision 085)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from client.needs import scope_needed
from errors import ApiRefused
from schema.access import GROUP_PREFIX, MAX_PERSON, PERSON_HEADER, ROLE_HEADER, Scope
from settings import load_settings
from views.login_secrets import Auth, find_auth

_GROUP_CLAIMS: Final = ("groups", "roles")


@dataclass(frozen=True)
class Person:
    """Who is logged in; without a role they are not let in."""

    name: str
    role: Scope | None


# Who follows a link to a file, which the page has made for somebody it let in.
_SOMEBODY: Final = Person("", Scope.READ)
_NOBODY: Final = Person("", None)


def is_login_asked_for() -> bool:
    """Whether nobody is let in without a login.

    So it is with ``[auth]`` in Streamlit's secrets, with secrets that cannot be read, and as soon as the
    settings say who is let in.
    """
    return any(_let_in()) or find_auth() is not Auth.NOT_THERE


def can_log_in() -> bool:
    """Whether the secrets say how to log in."""
    return find_auth() is Auth.THERE


def current() -> Person | None:
    """Return who looks at the page; None where nobody has to log in."""
    if not is_login_asked_for():
        return None
    if not can_log_in():
        return _NOBODY
    if get_script_run_ctx() is None:
        return _SOMEBODY
    claims = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return _NOBODY
    return Person(name_of(claims), role_of(claims, *_let_in()))


# Each request and each button asks, and reading the settings takes 2 ms.
@st.cache_resource(show_spinner=False)
def _let_in() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who is let in, and who has which role."""
    settings = load_settings()
    return settings.page_users, settings.page_roles


def name_of(claims: Mapping[str, object]) -> str:
    """Return what the audit log calls a person: a verified address, else who the provider says it is."""
    name = verified_address(claims) or f"{claims.get('sub') or '?'} of {claims.get('iss') or '?'}"
    return "".join(char if char.isprintable() else "?" for char in name)[:MAX_PERSON]


def role_of(claims: Mapping[str, object], users: Collection[str], roles: Collection[str]) -> Scope | None:
    """Return what a person may do; None for who is not let in.

    users: addresses and @domains. roles: those, and group:NAME, each with ``=`` and a role. What is said of
    an address decides, else the widest of what is said of its domain and of the groups. Who is among the
    users alone may look, and without any roles everything that the page may.
    """
    named = dict(_split(roles))
    address = verified_address(claims)
    if address in named:
        return named[address]
    found = [named[key] for key in (_domain(address), *_groups(claims)) if key in named]
    if found:
        return max(found, key=list(Scope).index)
    known = {entry.lower() for entry in users}
    if address and (address in known or _domain(address) in known):
        return Scope.READ if named else Scope.ADMIN
    return None


def sign(method: str, path: str) -> Mapping[str, str]:
    """Return what tells the API for whom a request is made. Raises ApiRefused for what they may not ask."""
    person = current()
    if person is None:
        return {}
    needed = scope_needed(method, path)
    if person.role is None or not person.role.covers(needed):
        raise ApiRefused(
            f"This needs the role {needed}, and {person.name or 'who is not logged in'} has "
            f"{person.role or 'none'} on this page. Whoever runs it gives roles with WATTLE_PAGE_ROLES.",
            status=HTTPStatus.FORBIDDEN,
            error_code="not_allowed",
        )
    named = {PERSON_HEADER: quote(person.name, safe="@+")} if person.name else {}
    return {ROLE_HEADER: person.role.value, **named}


def verified_address(claims: Mapping[str, object]) -> str:
    """Return a person's mail address in small letters; "" where their provider has not verified it."""
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") not in (True, "true"):
        return ""
    name, at, domain = email.strip().lower().rpartition("@")
    return f"{name}@{domain}" if name and at and domain and "@" not in name else ""


def _domain(address: str) -> str:
    return f"@{address.partition('@')[2]}" if address else ""


def _groups(claims: Mapping[str, object]) -> Iterator[str]:
    for claim in _GROUP_CLAIMS:
        stated = claims.get(claim)
        for name in stated if isinstance(stated, list | tuple) else [stated]:
            if isinstance(name, str):
                yield f"{GROUP_PREFIX}{name}"


def _split(roles: Collection[str]) -> Iterator[tuple[str, Scope]]:
    """Take roles apart; groups are named exactly as the provider does, addresses in any letters."""
    for entry in roles:
        who, _, role = entry.rpartition("=")
        who = who.strip()
        is_group = who.startswith(GROUP_PREFIX)
        group = f"{GROUP_PREFIX}{who.removeprefix(GROUP_PREFIX).strip()}"
        yield group if is_group else who.lower(), Scope(role.strip())
