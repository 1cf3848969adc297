"""A download that a reader asks for while the page is being drawn again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.charts import wait_for
from tests.browser.conftest import Stack, settle
from tests.browser.test_run_media import begin
from tests.sent_files import send
from tests.weights import safetensors

pytestmark = pytest.mark.slow

# A drawing of this page is some forty messages.
TWO_DRAWINGS = 100


class Line:
    """The page's connection to its server. What the server says can be held back, as by a slow network."""

    def __init__(self) -> None:
        self._socket: WebSocketRoute | None = None
        self._is_slow = False
        self.held: list[str | bytes] = []

    def join(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.connect_to_server().on_message(self._pass_on)

    def slow_down(self) -> None:
        self._is_slow = True

    def catch_up(self) -> None:
        assert self._socket is not None
        self._is_slow = False
        for message in self.held:
            self._socket.send(message)

    def _pass_on(self, message: str | bytes) -> None:
        assert self._socket is not None
        if self._is_slow:
            self.held.append(message)
        else:
            self._socket.send(message)


def test_a_click_on_what_the_server_has_drawn_anew_since_downloads_the_file(tab: Page, stack: Stack) -> None:
    line = Line()
    tab.route_web_socket(re.compile("/_stcore/stream"), line.join)
    iid = begin(stack.api.api_url)
    send(stack.api.api_url, iid, "weights.safetensors", safetensors(), kind="checkpoint")
    tab.goto(f"/run?iid={iid}")
    settle(tab)
    button = tab.get_by_role("link", name=re.compile("Download ·"))
    expect(button).to_be_visible()

    line.slow_down()
    wait_for(tab, lambda: len(line.held) > TWO_DRAWINGS)
    with tab.expect_download() as download:
        button.click()
        line.catch_up()

    assert download.value.path().read_bytes() == safetensors()
    assert download.value.suggested_filename == "weights-v1.safetensors"
