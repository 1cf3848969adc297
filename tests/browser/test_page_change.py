"""Leaving a live page: what its timers still ask for must not take the next page away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import PATIENCE_MS, START_TIMEOUT_S, Witness
from tests.ports import own_port
from tests.programs import ROOT, Programs, wait_until


@pytest.fixture
def url() -> Iterator[str]:
    """The address of two live pages."""
    port = own_port()
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        programs = Programs(redis_url="redis://127.0.0.1:1", data_dir=Path(folder))
        try:
            script = "tests/pages/two_live_pages.py"
            programs.start(
                *("-m", "streamlit", "run", script, "--server.port", str(port)),
                environment={"PYTHONPATH": str(ROOT)},
            )
            wait_until(lambda: _is_up(port), timeout_s=START_TIMEOUT_S, what=programs.output())
            yield f"http://127.0.0.1:{port}"
        finally:
            programs.stop()


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/_stcore/health", trust_env=False, timeout=60).is_success
    except httpx.HTTPError:
        return False


def test_a_page_that_is_left_takes_its_timers_along(browser: Browser, url: str) -> None:
    witness = Witness()
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    witness.watch(tab)
    tab.goto(url)
    for _ in range(8):
        for name in ("second", "first"):
            tab.get_by_role("button", name=f"Go to {name}").click()
            expect(tab.get_by_role("heading", name=f"Page {name}")).to_be_visible()
    context.close()
    # The fonts lie beside frontend.py, not beside this script.
    assert [complaint for complaint in witness.complaints if "/app/static/" not in complaint] == []
