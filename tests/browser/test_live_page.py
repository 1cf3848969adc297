"""What stays as it was while a run trains, and what the page does when its other half is gone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.acted_run import ActedRun
from tests.browser.charts import (
    CURVES,
    LOSS,
    drawn_points,
    figure,
    text_color,
    wait_for,
    wait_for_points,
    x_range,
)
from tests.browser.conftest import Stack, badge, settle

pytestmark = pytest.mark.slow

_CUT_TEXTS = """tiles => tiles.flatMap(tile => [...tile.querySelectorAll("*")])
    .filter(part => part.innerText && part.scrollWidth > part.clientWidth + 1
        && getComputedStyle(part).overflowX !== "visible")
    .map(part => part.innerText)"""


@pytest.fixture
def acted(stack: Stack) -> ActedRun:
    run = ActedRun(stack.db, num_epochs=20)
    run.record(5)
    return run


def open_run(tab: Page, acted: ActedRun) -> None:
    tab.goto(f"/run?iid={acted.run_id}")
    settle(tab)
    wait_for_points(tab, LOSS, acted.epochs)


def test_zoom_survives_the_epochs_that_arrive(tab: Page, acted: ActedRun) -> None:
    open_run(tab, acted)
    whole = x_range(tab, LOSS)
    plot = figure(tab, LOSS).locator(".nsewdrag").first.bounding_box()
    assert plot is not None
    y = plot["y"] + plot["height"] / 2
    tab.mouse.move(plot["x"] + plot["width"] * 0.3, y)
    tab.mouse.down()
    tab.mouse.move(plot["x"] + plot["width"] * 0.6, y, steps=8)
    tab.mouse.up()
    wait_for(tab, lambda: x_range(tab, LOSS) != whole)
    zoomed = x_range(tab, LOSS)

    for _ in range(3):
        acted.record()
        wait_for_points(tab, LOSS, acted.epochs)

    assert x_range(tab, LOSS) == zoomed
    assert [len(set(drawn_points(tab, curve))) for curve in CURVES] == [1] * len(CURVES)


def test_a_run_is_live_until_it_ends_and_then_the_page_rests(tab: Page, acted: ActedRun) -> None:
    open_run(tab, acted)
    expect(badge(tab, "live")).to_be_visible()
    expect(tab.get_by_text("Epoch 5 of 20 · about 12 s left")).to_be_visible()

    acted.finish()

    expect(badge(tab, "done")).to_be_visible()
    expect(badge(tab, "idle")).to_be_visible()


def test_a_silent_api_is_a_calm_banner_and_its_return_needs_no_click(tab: Page, stack: Stack) -> None:
    # The trainers are kept for a minute: a page that knows them must say it, too.
    for path in ("/submit", "/runs"):
        tab.goto(path)
        settle(tab)
    banner = tab.get_by_test_id("stAlert").filter(has_text="The API does not answer.")
    expect(tab.get_by_test_id("stDataFrame").or_(tab.get_by_text("No runs yet."))).to_be_visible()
    expect(banner).to_have_count(0)

    stack.stop_backend()
    try:
        expect(banner).to_contain_text("python backend.py")
        expect(badge(tab, "reconnecting")).to_be_visible()
        expect(tab.get_by_text("Traceback")).to_have_count(0)
        for path in ("/submit", "/run?iid=unknown"):
            tab.goto(path)
            settle(tab)
            expect(banner).to_be_visible()
            expect(tab.get_by_test_id("stException")).to_have_count(0)
        tab.goto("/")
        expect(banner).to_be_visible()
    finally:
        stack.start_backend()

    expect(banner).to_have_count(0)
    expect(badge(tab, "reconnecting")).to_have_count(0)


def test_a_link_to_a_run_that_is_not_there_leads_back(tab: Page) -> None:
    tab.goto("/run?iid=0123456789abcdef")
    settle(tab)
    expect(tab.get_by_test_id("stAlert")).to_contain_text("There is no run 0123456789abcdef here.")

    tab.get_by_role("link", name="Back to all runs").click()

    expect(tab.get_by_role("heading", name="Runs")).to_be_visible()


def test_filter_search_and_order_are_in_the_url(tab: Page, acted: ActedRun) -> None:
    tab.goto(f"/runs?status=running&sort=energy&order=asc&q={acted.run_id}")
    settle(tab)

    expect(tab.get_by_role("radio", name="running", checked=True)).to_be_visible()
    expect(tab.get_by_role("radio", name="asc", checked=True)).to_be_visible()
    expect(tab.get_by_text(re.compile(r"^1 run ·"))).to_be_visible()
    tab.get_by_role("radio", name="failed").click()
    expect(tab.get_by_text("No runs match.")).to_be_visible()
    expect(tab).to_have_url(re.compile("status=failed"))


@pytest.mark.parametrize("width", [420, 1280, 1440])
def test_no_figure_or_its_name_is_cut_off(tab: Page, acted: ActedRun, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    open_run(tab, acted)
    expect(tab.get_by_text("of one")).to_be_visible()

    assert tab.get_by_test_id("stMetric").evaluate_all(_CUT_TEXTS) == []


@pytest.mark.parametrize("color_scheme", ["dark", "light"])
def test_charts_and_page_follow_the_theme(tab: Page, acted: ActedRun, color_scheme: str) -> None:
    open_run(tab, acted)
    background = tab.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")

    is_dark = color_scheme == "dark"
    assert background == ("rgb(15, 17, 20)" if is_dark else "rgb(252, 252, 251)")
    assert text_color(tab, LOSS) == ("rgb(232, 234, 237)" if is_dark else "rgb(25, 27, 31)")
