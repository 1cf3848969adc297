"""The live page, by what it draws: tiles, predictions, the curve, and how fresh it says it is."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.charts import wait_for
from tests.browser.conftest import Stack, Witness, settle
from tests.pictures import batch, picture, sample, text

# Pixels of the chart that are not of its background, by column: which part of its width has a curve.
CURVE_COLUMNS = """canvas => {
    const { width, height } = canvas;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const color = getComputedStyle(document.documentElement).getPropertyValue("--curve").trim().slice(1);
    const wanted = [0, 2, 4].map(at => parseInt(color.slice(at, at + 2), 16));
    const columns = [];
    for (let x = 0; x < width; x += 1) {
        for (let y = 0; y < height; y += 1) {
            const at = 4 * (y * width + x);
            if (pixels[at + 3] > 200 && wanted.every((value, c) => Math.abs(pixels[at + c] - value) < 40)) {
                columns.push(x);
                break;
            }
        }
    }
    return columns;
}"""


@pytest.fixture
def live(stack: Stack, tab: Page) -> Page:
    """The page by itself, with an empty view."""
    post(stack, {}, "/rpc/reset")
    tab.goto(f"{stack.api.api_url}/live")
    expect(tab.locator("#connection")).to_have_text("waiting for updates")
    return tab


def post(stack: Stack, body: dict[str, Any], path: str = "/rpc/batch_update") -> None:
    httpx.post(f"{stack.api.api_url}{path}", json=body, trust_env=False, timeout=60).raise_for_status()


def curve(tab: Page) -> list[int]:
    """The columns of the chart that have a curve."""
    columns: list[int] = tab.locator("#chart canvas").evaluate(CURVE_COLUMNS)
    return columns


def send(stack: Stack, first: int, last: int) -> None:
    for iteration in range(first, last + 1):
        post(stack, batch(iteration, loss=1 + iteration % 7))


def test_placeholders_stand_until_there_are_sixteen_tiles(stack: Stack, live: Page) -> None:
    expect(live.locator("#tiles li.placeholder")).to_have_count(16)
    expect(live.locator("#badge")).to_have_text("aggregating 0/16")
    post(stack, batch(1, 6))
    expect(live.locator("#badge")).to_have_text("aggregating 6/16")
    expect(live.locator("#predictions li.placeholder")).to_have_count(16)
    post(stack, batch(2, 10))
    expect(live.locator("#badge")).to_have_text("ready 16/16")
    expect(live.locator(".placeholder")).to_have_count(0)
    expect(live.locator("#tiles img.pixelated")).to_have_count(16)


def test_tiles_show_prediction_against_truth_and_the_mirror_how_sure_it_was(stack: Stack, live: Page) -> None:
    right = sample(1, prediction="dog", confidence=0.875, image_b64=text(picture(200, kind="JPEG")))
    post(stack, batch(1) | {"samples": [right, *(sample(place) for place in range(2, 17))]})
    expect(live.locator("#tiles li").first).to_have_class("right")
    expect(live.locator("#tiles li").first).to_have_text("dog")
    expect(live.locator("#tiles li").nth(1)).to_have_class("wrong")
    expect(live.locator("#tiles li").nth(1)).to_have_text("cat is dog")
    expect(live.locator("#predictions li").first).to_contain_text("87.5 %")
    expect(live.locator("#right")).to_have_text("1 of 16 right")
    expect(live.locator("#tiles img").first).not_to_have_class(re.compile("pixelated"))
    assert live.locator("#tiles img").first.evaluate("image => image.naturalWidth") == 160


def test_foreign_text_is_text(stack: Stack, live: Page) -> None:
    evil = "<img src=x onerror=alert(1)>"
    post(stack, batch(1) | {"samples": [sample(place, prediction=evil) for place in range(16)]})
    expect(live.locator("#predictions .label").first).to_have_text(evil)


def test_the_curve_is_drawn_as_the_points_come(stack: Stack, live: Page) -> None:
    assert curve(live) == []
    expect(live.locator("#empty")).to_be_visible()
    send(stack, 1, 30)
    wait_for(live, lambda: len(curve(live)) > 300)
    expect(live.locator("#iteration")).to_have_text("30")
    expect(live.locator("#empty")).to_be_hidden()
    expect(live.locator("#connection")).to_have_text("live")


def test_a_paused_page_stands_still_and_shows_all_that_came_meanwhile_afterwards(
    stack: Stack, live: Page
) -> None:
    send(stack, 1, 10)
    expect(live.locator("#iteration")).to_have_text("10")
    live.get_by_role("button", name="Pause").click()
    before = live.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()")
    send(stack, 11, 25)
    post(stack, batch(26, 16))
    expect(live.locator("#connection")).to_have_text("paused, 16 points held")
    assert live.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()") == before
    expect(live.locator("#tiles li.placeholder")).to_have_count(16)

    live.get_by_role("button", name="Resume").click()
    expect(live.locator("#iteration")).to_have_text("26")
    expect(live.locator("#tiles li.placeholder")).to_have_count(0)
    assert live.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()") != before


def test_zoom_stays_while_points_come_and_ends_when_asked(stack: Stack, live: Page) -> None:
    send(stack, 1, 40)
    wait_for(live, lambda: len(curve(live)) > 300)
    box = live.locator("#chart .u-over").bounding_box()
    assert box is not None
    live.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 50)
    live.mouse.down()
    live.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60, steps=5)
    live.mouse.up()
    live.mouse.move(box["x"] + 5, box["y"] - 40)
    expect(live.locator("#unzoom")).to_be_visible()
    live.wait_for_timeout(200)
    zoomed = live.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()")
    send(stack, 41, 45)
    expect(live.locator("#iteration")).to_have_text("45")
    assert live.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()") == zoomed
    live.locator("#unzoom").click()
    expect(live.locator("#unzoom")).to_be_hidden()
    wait_for(live, lambda: live.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()") != zoomed)


def test_the_page_comes_back_by_itself_with_what_came_meanwhile(
    stack: Stack, live: Page, witness: Witness
) -> None:
    send(stack, 1, 5)
    expect(live.locator("#connection")).to_have_text("live")
    stack.stop_backend()
    expect(live.locator("#connection")).to_have_text("reconnecting")
    expect(live.locator("main")).to_have_class("is-stale")
    stack.start_backend()
    send(stack, 6, 8)
    expect(live.locator("#iteration")).to_have_text("8")
    expect(live.locator("#connection")).to_have_text("live")
    # The browser itself says so of each try while the backend is away.
    assert all("WebSocket connection" in complaint for complaint in witness.complaints)
    witness.complaints.clear()


def test_a_producer_that_falls_silent_is_stale(stack: Stack, live: Page) -> None:
    post(stack, batch(1))
    expect(live.locator("#connection")).to_have_text("live")
    expect(live.locator("#connection")).to_have_text("stale")
    expect(live.locator("main")).to_have_class("is-stale")
    post(stack, batch(2))
    expect(live.locator("#connection")).to_have_text("live")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_dashboard_shows_the_view_inside_its_own_page(stack: Stack, tab: Page, color_scheme: str) -> None:
    post(stack, {}, "/rpc/reset")
    tab.goto("/live")
    settle(tab)
    frame = tab.frame_locator("iframe")
    expect(frame.locator("#connection")).to_have_text("waiting for updates")
    for iteration in range(1, 40):
        post(stack, batch(iteration, 16 if iteration == 20 else 0, loss=2 / iteration))
    expect(frame.locator("#iteration")).to_have_text("39")
    expect(frame.locator("#tiles li.placeholder")).to_have_count(0)
    expect(frame.locator("html")).to_have_attribute("data-theme", color_scheme)
    assert "token" not in (tab.locator("iframe").get_attribute("src") or "")


def test_who_asks_for_less_motion_sees_what_has_changed_once_a_second(stack: Stack, live: Page) -> None:
    live.emulate_media(reduced_motion="reduce")
    live.evaluate(
        """() => {
            window.changes = [];
            new MutationObserver(() => window.changes.push(performance.now()))
                .observe(document.getElementById('iteration'), { childList: true, subtree: true });
        }"""
    )
    send(stack, 1, 150)
    expect(live.locator("#iteration")).to_have_text("150")
    moments: list[float] = live.evaluate("window.changes")
    assert len(moments) >= 1
    # Two mutations at most per drawing; the first one may still be of a frame that was asked for before.
    drawn = [at for at, before in zip(moments, [-1000.0, *moments], strict=False) if at - before > 5]
    assert len(drawn) <= (moments[-1] - moments[0]) / 1000 + 2
