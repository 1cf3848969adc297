"""Fixtures for tests that see what the user sees: the real programs, and a browser that reaches only them."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from cli.redis_server import RedisServer
from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from tests.conftest import start_redis
from tests.ports import own_port
from tests.programs import Programs, wait_until
from tests.provide_browser import REMEDY, find_browser

OUTPUT = Path(__file__).with_name("output")
START_TIMEOUT_S = 150
# An idle page looks every 10 s.
PATIENCE_MS = 60_000
# The second line makes every name but our own address unknown, so that a request elsewhere also fails loudly.
BROWSER_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ),
)
# On a deep link Streamlit looks for its server below the page's own path first; there is no setting for it.
_EXPECTED_404 = re.compile(r"/[\w-]+/_stcore/(health|host-config)$")


@dataclass
class Stack:
    """Wattle as a user runs it: Redis, backend, worker and page on free ports of 127.0.0.1."""

    programs: Programs
    db: RedisDB
    api: Client
    api_port: int
    page_port: int
    data_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of the backend, beside what all programs have."""
    backend: subprocess.Popen[bytes] = field(init=False)
    page: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page_port}"

    def start_backend(self) -> None:
        self.backend = self.programs.start(
            "backend.py", environment=self.environment, port=self.api_port, page_url=self.url
        )
        wait_until(self._is_api_ready, timeout_s=START_TIMEOUT_S, what=self.programs.output())

    def start_page(self) -> None:
        command = ("-m", "streamlit", "run", "frontend.py", "--server.port", str(self.page_port))
        self.page = self.programs.start(*command, api_url=f"http://127.0.0.1:{self.api_port}")
        wait_until(self._is_page_ready, timeout_s=START_TIMEOUT_S, what=self.programs.output())

    def start_worker(self) -> None:
        self.programs.start_worker()
        wait_until(self.db.workers.list_live, timeout_s=START_TIMEOUT_S, what=self.programs.output())

    def stop_backend(self) -> None:
        self.backend.terminate()
        self.backend.wait(60)

    def stop_page(self) -> None:
        self.page.terminate()
        self.page.wait(60)

    def _is_api_ready(self) -> bool:
        try:
            return self.api.get_health().status == "ok"
        except ApiUnavailable:
            return False

    def _is_page_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/_stcore/health", trust_env=False, timeout=60).is_success
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The programs, without a run."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        redis = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s"))
        programs = Programs(redis_url=redis.url, data_dir=Path(folder) / "data")
        try:
            api_port, page_port = (own_port(), own_port())
            with RedisDB(redis.url) as db, Client(f"http://127.0.0.1:{api_port}", timeout_s=60) as api:
                started = Stack(programs, db, api, api_port, page_port, Path(folder) / "data")
                started.start_backend()
                started.start_page()
                started.start_worker()
                yield started
        finally:
            programs.stop()
            redis.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"There is no Chromium. {REMEDY}")
        pytest.skip(f"There is no Chromium. {REMEDY}")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        launched = playwright.chromium.launch(executable_path=path, args=list(BROWSER_ARGUMENTS))
        yield launched
        launched.close()


@dataclass
class Witness:
    """What a tab asked for, and what it complained about."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, tab: Page) -> None:
        tab.on("request", self._on_request)
        tab.on("console", self._on_console)
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _EXPECTED_404.search(message.location["url"]):
            self.complaints.append(f"{message.text} {message.location['url']}")

    def left_this_machine(self) -> list[str]:
        """Requests to anything but 127.0.0.1; data: and blob: URLs are none."""
        places = [urlsplit(url) for url in self.requests]
        return [place.geturl() for place in places if place.netloc and place.hostname != "127.0.0.1"]


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def color_scheme() -> str:
    return "light"


@pytest.fixture
def tab(browser: Browser, stack: Stack, witness: Witness, color_scheme: str) -> Iterator[Page]:
    """An empty tab. No test may leave a request to elsewhere, or an error in the console."""
    context = browser.new_context(
        base_url=stack.url,
        viewport={"width": 1440, "height": 900},
        color_scheme="dark" if color_scheme == "dark" else "light",
    )
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    witness.watch(opened)
    yield opened
    OUTPUT.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "-", os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" ")[0])
    opened.screenshot(path=OUTPUT / f"{name}.png")
    context.close()
    assert witness.left_this_machine() == []
    assert witness.complaints == []


def settle(tab: Page) -> None:
    """Wait until the page's script has run."""
    tab.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def badge(tab: Page, word: str) -> Locator:
    """Find a badge by its word, which its icon stands before; one with a hint is in the page twice."""
    return tab.get_by_test_id("stMarkdownContainer").get_by_text(re.compile(rf"{word}$")).first
