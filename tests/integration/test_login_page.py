"""The page draws nothing before a login where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit import config
from streamlit.runtime.secrets import Secrets
from streamlit.testing.v1 import AppTest

from client import Client
from errors import ApiRefused
from views import people, source

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


@pytest.fixture
def secrets_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let Streamlit look for its secrets there, and nowhere else."""
    before = config.get_option("secrets.files")

    def look(*paths: Path) -> None:
        config.set_option("secrets.files", [str(path) for path in paths])
        monkeypatch.setattr(st, "secrets", Secrets())

    yield look
    config.set_option("secrets.files", before)


def opened_as_set(monkeypatch: pytest.MonkeyPatch, **settings: str) -> AppTest:
    for name in ("WATTLE_PAGE_USERS", "WATTLE_PAGE_ROLES"):
        monkeypatch.setenv(name, settings.get(name, ""))
    monkeypatch.setenv("WATTLE_API_URL", "http://no.such:99999")
    return AppTest.from_function(site, default_timeout=60).run()


def is_shut(app: AppTest, words: str) -> bool:
    """Whether nothing is drawn but why, and no request could be signed with rights."""
    with pytest.raises(ApiRefused, match="not logged in"):
        people.sign("GET", "/api/runs")
    with Client("http://no.such:99999", sign=people.sign) as api, pytest.raises(ApiRefused):
        api.list_views()
    drawn = [title.value for title in app.title], [button.label for button in app.button]
    return (
        not app.exception
        and drawn == (["Wattle"], [])
        and len(app.error) == 1
        and words in app.error[0].value
    )


ROLES = {"WATTLE_PAGE_ROLES": "ada@example.org=admin"}
USERS = {"WATTLE_PAGE_USERS": "ada@example.org"}


@pytest.mark.parametrize("settings", [{}, ROLES, USERS])
@pytest.mark.parametrize("text", [b"[auth\nclient_id = 7", b"[auth]\nclient_id = '\xff'"])
def test_secrets_that_cannot_be_read_let_nobody_in(
    monkeypatch: pytest.MonkeyPatch,
    secrets_at: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    text: bytes,
    settings: dict[str, str],
) -> None:
    (tmp_path / "secrets.toml").write_bytes(text)
    secrets_at(tmp_path / "secrets.toml")
    app = opened_as_set(monkeypatch, **settings)
    assert is_shut(app, "cannot be read")
    assert "Nobody can log in to the page" in caplog.text
    assert str(tmp_path) not in app.error[0].value


def text_by_name(folder: Path) -> Path:
    (folder / "secrets.txt").write_text("[auth]")
    return folder / "secrets.txt"


def link_to_nothing(folder: Path) -> Path:
    (folder / "secrets.toml").symlink_to(folder / "gone")
    return folder / "secrets.toml"


def folder_that_is_gone(folder: Path) -> Path:
    return folder / "secrets"


def folder_nobody_can_enter(folder: Path) -> Path:
    """As one without the right to: the administrator, who may run this, has it everywhere."""
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop" / "secrets.toml"


@pytest.mark.parametrize(
    "make", [text_by_name, link_to_nothing, folder_that_is_gone, folder_nobody_can_enter]
)
def test_a_path_of_secrets_that_cannot_be_used_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch,
    secrets_at: Callable[..., None],
    tmp_path: Path,
    make: Callable[[Path], Path],
) -> None:
    secrets_at(make(tmp_path))
    assert is_shut(opened_as_set(monkeypatch), "cannot be read")


@pytest.mark.parametrize("settings", [ROLES, USERS])
@pytest.mark.parametrize("text", [None, "", "other = 1"])
def test_who_is_let_in_is_said_and_not_how_so_that_nobody_is(
    monkeypatch: pytest.MonkeyPatch,
    secrets_at: Callable[..., None],
    tmp_path: Path,
    text: str | None,
    settings: dict[str, str],
) -> None:
    if text is not None:
        (tmp_path / "secrets.toml").write_text(text)
    secrets_at(tmp_path / "secrets.toml")
    assert is_shut(opened_as_set(monkeypatch, **settings), "Write [auth] into .streamlit/secrets.toml")


@pytest.mark.parametrize("text", [None, "", "other = 1"])
def test_without_secrets_and_settings_the_page_is_open(
    monkeypatch: pytest.MonkeyPatch, secrets_at: Callable[..., None], tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "secrets.toml").write_text(text)
    secrets_at(tmp_path / "secrets.toml")
    app = opened_as_set(monkeypatch)
    assert [title.value for title in app.title] != ["Wattle"]
    assert people.current() is None
    assert people.sign("DELETE", "/api/runs/a") == {}
