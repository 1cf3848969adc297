"""Logging in to the page through a real provider of OpenID Connect, and what each role finds there."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from schema.access import Scope, TokenRequest
from tests.browser.conftest import PATIENCE_MS, START_TIMEOUT_S, Stack, settle
from tests.browser.own_stack import own_stack
from tests.browser.places import paths
from tests.browser.seeing import broken_rules, wear
from tests.ports import own_ports
from tests.programs import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PEOPLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "ada": {"email": "ada@example.org", "email_verified": True},
    "bob": {"email": "bob@lab.example.org", "email_verified": True},
    "cleo": {"email": "cleo@elsewhere.org", "email_verified": True, "groups": ["trainers"]},
    "eve": {"email": "eve@elsewhere.org", "email_verified": True},
    "mallory": {"email": "ada@example.org", "email_verified": False},
}
ROLES: Final = "ada@example.org=admin, @lab.example.org=read, group:trainers=submit"


@dataclass
class Site:
    """A page with a login before it, and the programs behind it."""

    stack: Stack
    url: str
    provider: str


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=60).is_success
    except httpx.HTTPError:
        return False


def _start_provider(stack: Stack, port: int) -> str:
    claims = [f"--user-claims={json.dumps({'sub': sub, **known})}" for sub, known in PEOPLE.items()]
    stack.programs.start("-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *claims)
    url = f"http://127.0.0.1:{port}"
    wait_until(
        lambda: _answers(f"{url}/.well-known/openid-configuration"),
        timeout_s=START_TIMEOUT_S,
        what=stack.programs.output(),
    )
    return url


def _start_page(stack: Stack, folder: Path, port: int, provider: str) -> str:
    """Start the page with a token of its own, which may name people, and settings of OpenID Connect."""
    url = f"http://127.0.0.1:{port}"
    auth = {
        "redirect_uri": f"{url}/oauth2callback",
        "cookie_secret": secrets.token_hex(32),
        "client_id": "wattle",
        "client_secret": secrets.token_hex(16),
        "server_metadata_url": f"{provider}/.well-known/openid-configuration",
    }
    file = folder / "secrets.toml"
    file.write_text("[auth]\n" + "".join(f"{name} = {json.dumps(text)}\n" for name, text in auth.items()))
    own = stack.db.tokens.create(TokenRequest(name="page", scope=Scope.ADMIN, names_people=True))
    stack.programs.start(
        *("-m", "streamlit", "run", "frontend.py", "--server.port", str(port), "--secrets.files", str(file)),
        api_url=f"http://127.0.0.1:{stack.api_port}",
        api_token=own.secret,
        page_roles=ROLES,
    )
    wait_until(
        lambda: _answers(f"{url}/_stcore/health"), timeout_s=START_TIMEOUT_S, what=stack.programs.output()
    )
    return url


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with own_stack(ports=25_500, environment={"WATTLE_REQUIRE_TOKEN": "true"}) as (stack, folder):
        stack.stop_page()
        provider_port, page_port = own_ports(2)
        provider = _start_provider(stack, provider_port)
        yield Site(stack, _start_page(stack, folder, page_port, provider), provider)


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Page]:
    """A browser without any cookie."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def press(tab: Page, name: str) -> None:
    tab.get_by_role("button", name=name, exact=True).click()


def log_in(tab: Page, sub: str) -> None:
    tab.goto("/runs")
    press(tab, "Log in")
    tab.wait_for_url("**/oauth2/authorize*")
    press(tab, sub)
    tab.wait_for_url(lambda url: "oauth2" not in url)
    settle(tab)


def log_out(tab: Page) -> None:
    """Log out here and, as the page leads there, at the provider."""
    press(tab, "Log out")
    press(tab, "End session")
    expect(tab.get_by_role("button", name="Log in", exact=True)).to_be_visible()


def test_a_stranger_sees_the_login_alone_on_every_address(visitor: Page, site: Site) -> None:
    run = site.stack.db.queue.submit({"num_epochs": 1}).run_id
    for path in ("/", "/runs", f"/run?iid={run}", "/access"):
        visitor.goto(path)
        expect(visitor.get_by_role("button", name="Log in", exact=True)).to_be_visible()
        settle(visitor)
        expect(visitor.get_by_role("heading")).to_have_text(["Wattle"])
        expect(visitor.get_by_test_id("stSidebarNavLink")).to_have_count(0)
        assert run[:8] not in visitor.content()
    assert broken_rules(visitor) == []
    wear(visitor, "dark")
    assert broken_rules(visitor) == []


def test_an_admin_logs_in_makes_a_token_under_their_name_and_logs_out(visitor: Page, site: Site) -> None:
    log_in(visitor, "ada")
    expect(visitor.get_by_text("ada@example.org")).to_be_visible()
    expect(visitor.get_by_text("may do everything.")).to_be_visible()
    visitor.goto("/access")
    press(visitor, "New token")
    dialog = visitor.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("night job")
    dialog.get_by_role("button", name="Make it").click()
    secret = dialog.get_by_text(re.compile("^wattle_")).inner_text().strip()
    expect(dialog.get_by_role("button", name="Make it")).to_have_count(0)
    expect(dialog.get_by_label("Copy to clipboard")).to_be_visible()
    found = site.stack.db.tokens.find(secret)
    assert found is not None
    assert found[0].name == "night job"
    assert secret not in visitor.url
    dialog.get_by_role("button", name="Done").click()
    expect(visitor.get_by_role("dialog")).to_have_count(0)
    expect(visitor.get_by_text("night job")).to_be_visible()
    assert secret not in visitor.content()
    entry = site.stack.db.audit.list()[-1]
    assert (entry.person, entry.action, entry.status) == ("ada@example.org", "tokens.create_token", 201)
    assert entry.who.startswith("page (")
    assert secret not in site.stack.programs.output()

    log_out(visitor)
    visitor.goto("/access")
    expect(visitor.get_by_role("button", name="Log in", exact=True)).to_be_visible()
    assert "night job" not in visitor.content()


def test_a_reader_looks_and_changes_nothing(visitor: Page, site: Site) -> None:
    run = site.stack.db.queue.submit({"num_epochs": 1}).run_id
    log_in(visitor, "bob")
    expect(visitor.get_by_text("may look, and change nothing.")).to_be_visible()
    expect(visitor.get_by_test_id("stSidebarNavLink")).to_have_count(len(paths()))
    visitor.goto(f"/run?iid={run}")
    for name in ("Cancel", "Pause", "Star"):
        expect(visitor.get_by_role("button", name=name, exact=True)).to_be_disabled()
    visitor.goto("/access")
    expect(visitor.get_by_text("Only admins see who may do what.")).to_be_visible()
    expect(visitor.get_by_role("button", name="New token")).to_have_count(0)


def test_who_has_a_group_that_may_submit_steers_runs_and_deletes_none(visitor: Page, site: Site) -> None:
    run = site.stack.db.queue.submit({"num_epochs": 1}).run_id
    log_in(visitor, "cleo")
    visitor.goto(f"/run?iid={run}")
    press(visitor, "Cancel")
    expect(visitor.get_by_role("button", name="Retry", exact=True)).to_be_enabled()
    expect(visitor.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    entry = site.stack.db.audit.list()[-1]
    assert (entry.person, entry.action) == ("cleo@elsewhere.org", "controls.cancel_run")
    # A link to a file is followed outside of any page, for whoever was shown it.
    link = visitor.get_by_role("link", name="Report", exact=True).get_attribute("href")
    assert link is not None
    report = visitor.request.get(link)
    assert (report.status, run in report.text()) == (200, True)


@pytest.mark.parametrize(
    ("sub", "said"),
    [
        ("eve", "The account eve@elsewhere.org is not let in here."),
        ("mallory", "The address ada@example.org is not verified by its provider"),
    ],
)
def test_who_is_not_on_the_list_is_refused_in_a_sentence(visitor: Page, sub: str, said: str) -> None:
    log_in(visitor, sub)
    expect(visitor.get_by_text(said)).to_be_visible()
    expect(visitor.get_by_text("Ask whoever runs this page to let it in.")).to_be_visible()
    expect(visitor.get_by_test_id("stSidebarNavLink")).to_have_count(0)
    log_out(visitor)


def test_who_denies_at_the_provider_is_back_at_the_login(visitor: Page) -> None:
    visitor.goto("/runs")
    press(visitor, "Log in")
    visitor.wait_for_url("**/oauth2/authorize*")
    press(visitor, "Deny")
    expect(visitor.get_by_role("button", name="Log in", exact=True)).to_be_visible()
