"""A run waits for clean electricity: from the page Carbon over the form to *Run now*."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cli.redis_server import RedisServer
from client import Client
from redis_db import RedisDB
from schema import Status
from tests.browser.conftest import Stack, badge, settle
from tests.conftest import start_redis
from tests.ports import own_port
from tests.programs import Programs

pytestmark = pytest.mark.slow
HOUR = timedelta(hours=1)


def write_grid(path: Path) -> None:
    """Write ten days of 500 g/kWh, and three ahead of which all but the first six hours are clean."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    dirty, clean = 500.0, 100.0
    known = [(hour + n * HOUR, dirty) for n in range(-240, 1)]
    expected = [(hour + n * HOUR, clean if n >= 6 else dirty) for n in range(72)]
    region = {
        name: [{"timestamp": at.isoformat(), "carbon_intensity": value} for at, value in values]
        for name, values in (("historical", known), ("forecast", expected))
    }
    path.write_text(json.dumps({"regions": {"DE": region}}))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Backend and page in a zone whose grid is known; no worker."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        redis = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s"))
        file = Path(folder) / "grid.json"
        write_grid(file)
        grid = {"WATTLE_ZONE": "DE", "WATTLE_CARBON_MODEL": "cached", "WATTLE_CARBON_FILE": str(file)}
        programs = Programs(redis_url=redis.url, data_dir=Path(folder) / "data")
        try:
            api_port, page_port = (own_port(), own_port())
            api_url = f"http://127.0.0.1:{api_port}"
            with RedisDB(redis.url) as db, Client(api_url, timeout_s=60) as api:
                started = Stack(programs, db, api, api_port, page_port, Path(folder) / "data", grid)
                started.start_backend()
                started.start_page()
                yield started
        finally:
            programs.stop()
            redis.stop()


def test_a_run_waits_for_the_window_that_the_page_shows_until_run_now(tab: Page, stack: Stack) -> None:
    tab.goto("/carbon?zone=DE&hours=2")
    settle(tab)
    best = tab.get_by_test_id("stMetric").filter(has_text="2 h in the best window")
    expect(best).to_contain_text("100 g/kWh")
    for title in ("Forecast", "By month and hour"):
        expect(tab.get_by_role("figure", name=title).locator("svg.main-svg").first).to_be_visible()
    expect(tab.get_by_role("figure", name="Forecast").get_by_text("best 2 h")).to_be_visible()
    cells = tab.get_by_role("figure", name="By month and hour").locator("g.point")
    assert cells.count() >= 24

    tab.get_by_role("link", name="Submit", exact=True).click()
    settle(tab)
    tab.get_by_text("Clean electricity: wait for it").click()
    tab.get_by_role("radio", name="wait, by forecast").click()
    tab.get_by_role("button", name="Review").click()
    review = tab.get_by_role("dialog")
    expect(review.get_by_test_id("stMetric").filter(has_text="Expected")).to_contain_text("100 g/kWh")
    review.get_by_role("button", name="Queue it").click()
    expect(tab.get_by_text(re.compile("is queued"))).to_be_visible()
    (run,) = stack.db.runs.list().runs
    assert run.status is Status.DEFERRED

    tab.get_by_role("link", name="Carbon", exact=True).click()
    expect(tab.get_by_role("figure", name="Planned").get_by_text(run.run_id[:8])).to_be_visible()

    tab.goto(f"/run?iid={run.run_id}")
    settle(tab)
    tab.get_by_role("button", name="Run now").click()
    expect(badge(tab, "waiting")).to_be_visible()
    expect(tab.get_by_text("It follows the grid no more")).to_be_visible()
    assert stack.db.runs.get(run.run_id).status is Status.WAITING
