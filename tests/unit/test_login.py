"""Who is let in after a login, as what, and how the API is told."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from client import Client
from errors import ApiRefused, InvalidInput
from schema.access import Scope
from settings import load_settings
from views import people
from views.people import Person, name_of, role_of

ADA = {
    "is_logged_in": True,
    "email": "Ada@Example.org",
    "email_verified": True,
    "sub": "7",
    "iss": "https://id",
}


@pytest.mark.parametrize(
    ("claims", "allowed", "is_in"),
    [
        (ADA, ["ada@example.org"], True),
        (ADA, ["@EXAMPLE.org"], True),
        (ADA, ["@ample.org"], False),
        (ADA, ["example.org"], False),
        (ADA, [], False),
        ({"email": "ada@example.org"}, ["@example.org"], False),
        ({"email": "@example.org", "email_verified": True}, ["@example.org"], False),
        ({"email": "ada@example.org@evil.org", "email_verified": True}, ["@example.org"], False),
        ({"email": "a@evil.org@example.org", "email_verified": True}, ["@example.org"], False),
        ({"email_verified": True}, ["@example.org"], False),
    ],
)
def test_an_address_has_to_be_verified_and_named(
    claims: dict[str, Any], allowed: list[str], is_in: bool
) -> None:
    assert role_of(claims, allowed, []) is (Scope.ADMIN if is_in else None)


@pytest.mark.parametrize(
    ("claims", "roles", "role"),
    [
        (ADA, ["ada@example.org=submit"], Scope.SUBMIT),
        (ADA, ["ADA@example.org=admin"], Scope.ADMIN),
        # What is said of an address decides, also where it is less.
        (
            ADA | {"groups": ["ml"]},
            ["ada@example.org=read", "@example.org=admin", "group:ml=admin"],
            Scope.READ,
        ),
        # Else the widest.
        (ADA | {"groups": ["ml", "x"]}, ["@example.org=read", "group:ml=submit"], Scope.SUBMIT),
        (ADA | {"roles": ["ml"]}, ["@example.org=submit", "group:ml=read"], Scope.SUBMIT),
        ({"groups": "ml", "sub": "7"}, ["group:ml=submit"], Scope.SUBMIT),
        (ADA | {"groups": ["interns"]}, ["group: interns = read"], Scope.READ),
        # Groups are named as the provider does.
        (ADA | {"groups": ["ML", 7, None]}, ["group:ml=admin"], None),
        (ADA | {"email_verified": False}, ["@example.org=admin", "ada@example.org=admin"], None),
        (ADA, ["@other.org=admin"], None),
    ],
)
def test_a_role_is_that_of_the_address_else_the_widest_of_domain_and_groups(
    claims: dict[str, Any], roles: list[str], role: Scope | None
) -> None:
    assert role_of(claims, [], roles) is role


def test_who_is_let_in_without_a_role_may_look_where_there_are_roles() -> None:
    assert role_of(ADA, ["@example.org"], ["bob@example.org=admin"]) is Scope.READ


def test_a_person_is_called_by_a_verified_address_else_as_the_provider_knows_them() -> None:
    assert name_of(ADA) == "ada@example.org"
    assert name_of(ADA | {"email_verified": False}) == "7 of https://id"
    assert name_of({"sub": "a\nb"}) == "a?b of ?"


@pytest.mark.parametrize("wrong", ["ada@example.org", "ada@example.org=owner", "ml=read", "=admin"])
def test_what_is_no_role_is_named(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_PAGE_ROLES", f"@example.org=read, {wrong}")
    with pytest.raises(InvalidInput, match=r"WATTLE_PAGE_ROLES.*group:NAME"):
        load_settings()


def asked_by(person: Person | None, monkeypatch: pytest.MonkeyPatch, sent: list[httpx.Request]) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"views": []})

    monkeypatch.setattr(people, "current", lambda: person)
    return Client("http://api/wattle", transport=httpx.MockTransport(answer), sign=people.sign)


def test_a_request_says_for_whom_it_is_made_and_what_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []
    asked_by(Person("zoë@example.org", Scope.READ), monkeypatch, sent).list_views()
    assert sent[0].headers["Wattle-Person"] == "zo%C3%AB@example.org"
    assert sent[0].headers["Wattle-Role"] == "read"


def test_what_a_person_may_not_do_is_not_even_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []
    api = asked_by(Person("bob@example.org", Scope.SUBMIT), monkeypatch, sent)
    with pytest.raises(ApiRefused, match=r"the role admin, and bob@example\.org has submit"):
        api.delete_run("x")
    with pytest.raises(ApiRefused, match="the role admin"):
        api.list_tokens()
    nobody = asked_by(Person("", None), monkeypatch, sent)
    with pytest.raises(ApiRefused, match="not logged in"):
        nobody.list_views()
    assert sent == []


def test_without_a_login_nothing_is_said_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []
    asked_by(None, monkeypatch, sent).list_views()
    assert not any(name.startswith("wattle-") for name in sent[0].headers)
