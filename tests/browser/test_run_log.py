"""The log of a run as somebody reads it: taken along at its end, left alone where they have scrolled to."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acted_run import ActedRun
from tests.browser.charts import wait_for
from tests.browser.conftest import Stack, settle

pytestmark = pytest.mark.slow

_FIRST_VISIBLE = """box => [...box.children].find(row => row.offsetTop + row.offsetHeight > box.scrollTop)
    .querySelector("span").innerText"""
_TO_END_PX = "box => box.scrollHeight - box.scrollTop - box.clientHeight"


@pytest.fixture
def acted(stack: Stack) -> ActedRun:
    run = ActedRun(stack.db)
    stack.db.log.append(run.lease, [f"line {number}" for number in range(600)])
    return run


def open_log(tab: Page, acted: ActedRun) -> Locator:
    tab.goto(f"/run?iid={acted.run_id}")
    settle(tab)
    tab.get_by_role("tab", name="Log").click()
    log = tab.get_by_role("log")
    expect(log).to_be_visible()
    return log


def test_a_reader_at_the_end_is_taken_along(tab: Page, stack: Stack, acted: ActedRun) -> None:
    log = open_log(tab, acted)
    wait_for(tab, lambda: log.evaluate(_TO_END_PX) < 5)
    expect(log.locator(".wattle-log-line")).to_have_count(500)
    stack.db.log.append(acted.lease, ["<img src=x onerror=alert(1)>", "the newest"])
    expect(log.get_by_text("the newest")).to_be_in_viewport()
    expect(log.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    wait_for(tab, lambda: log.evaluate(_TO_END_PX) < 5)


def test_who_reads_further_up_stays_there(tab: Page, stack: Stack, acted: ActedRun) -> None:
    log = open_log(tab, acted)
    wait_for(tab, lambda: log.evaluate(_TO_END_PX) < 5)
    log.evaluate("box => { box.scrollTop = 40; }")
    read = log.evaluate(_FIRST_VISIBLE)
    # So many that what is read would be dropped, were the reader at the end.
    for batch in range(3):
        stack.db.log.append(acted.lease, [f"new {batch} {number}" for number in range(60)])
        expect(log.get_by_text(f"new {batch} 59", exact=True)).to_be_attached()
        assert log.evaluate(_FIRST_VISIBLE) == read
    tab.get_by_role("button", name="New lines").click()
    expect(log.get_by_text("new 2 59", exact=True)).to_be_in_viewport()
    expect(tab.get_by_role("button", name="New lines")).to_be_hidden()


def test_older_lines_come_above_what_is_read(tab: Page, acted: ActedRun) -> None:
    log = open_log(tab, acted)
    wait_for(tab, lambda: log.evaluate(_TO_END_PX) < 5)
    log.evaluate("box => { box.scrollTop = 40; }")
    read = log.evaluate(_FIRST_VISIBLE)
    tab.get_by_role("button", name="Older lines").click()
    expect(log.locator(".wattle-log-line")).to_have_count(600)
    assert log.evaluate(_FIRST_VISIBLE) == read


def test_it_is_stopped_and_searched(tab: Page, stack: Stack, acted: ActedRun) -> None:
    log = open_log(tab, acted)
    tab.get_by_text("Follow", exact=True).click()
    settle(tab)
    stack.db.log.append(acted.lease, ["LINE 599 again"])
    tab.get_by_label("Search the log").fill("line 599")
    tab.get_by_label("Search the log").press("Enter")
    expect(log.locator("mark")).to_have_text(["line 599", "LINE 599"])
    tab.get_by_label("Search the log").fill("")
    tab.get_by_label("Search the log").press("Enter")
    expect(log.locator(".wattle-log-line")).to_have_count(500)
