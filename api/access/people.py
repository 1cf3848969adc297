"""For whom a program asks: the person and the role that a page with a login sends (decision 085)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from werkzeug.wrappers import Request

from api.access.callers import Caller
from errors import InvalidInput
from schema.access import MAX_PERSON, PERSON_HEADER, ROLE_HEADER, Scope

_ROLES: Final = ", ".join(Scope)


def speak_for(caller: Caller, request: Request) -> Caller:
    """Return a caller with the person it names, kept to the role it states.

    Anybody may ask for less than their token reaches. A name counts from those who may name people alone; of
    others it is passed over. Raises InvalidInput for a role there is not, and for a name that cannot be read.
    """
    if (role := request.headers.get(ROLE_HEADER)) is not None:
        caller = replace(caller, scope=_least(caller.scope, _read_role(role)), is_narrowed=True)
    if caller.names_people and (name := request.headers.get(PERSON_HEADER)):
        caller = replace(caller, person=_read_name(name))
    return caller


def _read_role(text: str) -> Scope:
    try:
        return Scope(text.strip().lower())
    except ValueError:
        raise InvalidInput(f"The header {ROLE_HEADER} should be one of {_ROLES}, or be left out.") from None


def _least(one: Scope, other: Scope) -> Scope:
    return other if one.covers(other) else one


def _read_name(text: str) -> str:
    try:
        name = unquote(text, errors="strict").strip()
    except UnicodeDecodeError:
        name = ""
    if not (text.isascii() and name.isprintable() and 0 < len(name) <= MAX_PERSON):
        raise InvalidInput(
            f"The header {PERSON_HEADER} should be a name of up to {MAX_PERSON} printable characters, as "
            "percent-encoded UTF-8."
        )
    return name
