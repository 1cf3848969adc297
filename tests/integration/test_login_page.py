"""The page draws nothing before a login where one is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from views import source

ADA = {"is_logged_in": True, "email": "Ada@Example.org", "email_verified": True}


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Nothing is remembered for the tests after this one."""
    yield
    source.api().close()
    st.cache_data.clear()
    st.cache_resource.clear()


def site() -> None:
    from views import site as wattle

    wattle.show()


def opened(monkeypatch: pytest.MonkeyPatch, users: str, user: dict[str, Any]) -> AppTest:
    monkeypatch.setenv("WATTLE_PAGE_USERS", users)
    monkeypatch.setenv("WATTLE_API_URL", "http://no.such:99999")  # no address: nobody can be asked
    app = AppTest.from_function(site, default_timeout=60)
    app.secrets["auth"] = {"redirect_uri": "http://localhost/oauth2callback"}
    app.user = user
    return app.run()


@pytest.mark.parametrize(
    ("users", "user", "shown"),
    [
        ("ada@example.org", {"is_logged_in": False}, "Log in"),
        ("ada@example.org", {}, "Log in"),
        ("bob@example.org", ADA, "Log out"),
        ("", ADA, "Log out"),
        ("ada@example.org", ADA | {"email_verified": False}, "Log out"),
    ],
)
def test_who_is_not_let_in_sees_no_page(
    monkeypatch: pytest.MonkeyPatch, users: str, user: dict[str, Any], shown: str
) -> None:
    app = opened(monkeypatch, users, user)
    assert not app.exception
    assert [button.label for button in app.button] == [shown]
    assert [title.value for title in app.title] == ["Wattle"]


def test_who_is_let_in_sees_the_page_and_may_log_out(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, "@example.org", ADA)
    assert [title.value for title in app.title] != ["Wattle"]
    assert "Log out" in [button.label for button in app.sidebar.button]
