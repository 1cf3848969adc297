"""Who is let in to the page after a login."""

from __future__ import annotations

from typing import Any

import pytest

from views.login import is_let_in

ADA = {"is_logged_in": True, "email": "Ada@Example.org", "email_verified": True}


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
        ({"email_verified": True}, ["@example.org"], False),
    ],
)
def test_an_address_has_to_be_verified_and_named(
    claims: dict[str, Any], allowed: list[str], is_in: bool
) -> None:
    assert is_let_in(claims, allowed) is is_in
