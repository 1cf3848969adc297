"""The form of a new run over a page that draws itself anew all the time."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acted_run import ActedRun
from tests.browser.conftest import PATIENCE_MS, START_TIMEOUT_S, Stack
from tests.ports import own_port
from tests.programs import ROOT, wait_until

pytestmark = pytest.mark.slow
TIMES = 8
_HAS_FOCUS = "() => document.querySelector('[role=dialog]')?.contains(document.activeElement)"


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_stcore/health", trust_env=False, timeout=60).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def hasty(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A tab with pages that cannot wait."""
    port = own_port()
    url = f"http://127.0.0.1:{port}"
    pages = stack.programs.start(
        *("-m", "streamlit", "run", "tests/pages/hasty_pages.py", "--server.port", str(port)),
        api_url=f"http://127.0.0.1:{stack.api_port}",
        environment={"PYTHONPATH": str(ROOT)},
    )
    wait_until(lambda: _is_up(url), timeout_s=START_TIMEOUT_S, what=stack.programs.output())
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()
    pages.terminate()
    pages.wait(60)


def test_the_form_opens_and_closes_whenever_the_page_below_it_is_drawn(hasty: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db)
    acted.finish()
    hasty.goto(f"/run?iid={acted.run_id}")
    dialog = hasty.get_by_role("dialog")
    for _ in range(TIMES):
        hasty.get_by_role("button", name="Rerun", exact=True).click()
        expect(dialog.get_by_role("button", name="Queue it")).to_be_visible()
        # It takes the focus a moment after it is drawn, and hears a key only then.
        hasty.wait_for_function(_HAS_FOCUS)
        hasty.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        # What is below a form cannot be clicked: it must not stay so.
        expect(hasty.locator("#root[inert]")).to_have_count(0)
