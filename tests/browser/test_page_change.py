"""Leaving a live page: what its timers still ask for must not take the next page away."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

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


class LatePart:
    """A connection on which a part of the page that is left speaks once more, as on a busy machine."""

    def __init__(self, *, is_at_once: bool, is_timer: bool) -> None:
        self._is_at_once = is_at_once
        self._is_timer = is_timer
        self._tick: BackMsg | None = None
        self._click: BackMsg | None = None
        self.spoken = 0

    def join(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def from_browser(message: str | bytes) -> None:
            server.send(message)
            asked = BackMsg.FromString(message) if isinstance(message, bytes) else BackMsg()
            if asked.rerun_script.is_auto_rerun:
                self._tick = asked
            elif (
                self._tick and asked.rerun_script.page_script_hash != self._tick.rerun_script.page_script_hash
            ):
                self._click = asked
                if self._is_at_once:
                    speak()

        def from_server(message: str | bytes) -> None:
            told = ForwardMsg.FromString(message) if isinstance(message, bytes) else ForwardMsg()
            if self._click and told.new_session.page_script_hash == self._click.rerun_script.page_script_hash:
                speak()
            socket.send(message)

        def speak() -> None:
            """Ask for the part of the old page, from the address of the new one, once for each click."""
            if self._tick is None or self._click is None:
                return
            late = BackMsg.FromString(self._tick.SerializeToString())
            late.rerun_script.is_auto_rerun = self._is_timer
            late.rerun_script.query_string = self._click.rerun_script.query_string
            late.rerun_script.context_info.CopyFrom(self._click.rerun_script.context_info)
            server.send(late.SerializeToString())
            self._tick = self._click = None
            self.spoken += 1

        socket.on_message(from_browser)
        server.on_message(from_server)


@pytest.mark.parametrize("is_timer", [True, False], ids=["a timer", "a form"])
@pytest.mark.parametrize("is_at_once", [True, False], ids=["before the page is begun", "while it is drawn"])
def test_a_part_that_speaks_after_a_click_on_a_link_does_not_take_the_page_away(
    browser: Browser, url: str, is_at_once: bool, is_timer: bool
) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    tab, part = context.new_page(), LatePart(is_at_once=is_at_once, is_timer=is_timer)
    tab.route_web_socket(re.compile("/_stcore/stream"), part.join)
    tab.goto(url)
    for turn in range(1, 9):
        name = "first" if turn % 2 == 0 else "second"
        tab.get_by_role("link", name=f"Link to {name}").click()
        expect(tab.get_by_role("heading", name=f"Page {name}")).to_be_visible()
        expect(tab.get_by_role("button", name="Go to")).to_be_visible()
    context.close()
    assert part.spoken >= 4
