"""Pictures, histograms and the network of a run, as they are drawn."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.charts import wait_for
from tests.browser.conftest import Stack, settle
from tests.pictures import picture
from tests.sent_files import network, send

pytestmark = pytest.mark.slow

_WIDTH = "picture => picture.complete ? picture.naturalWidth : 0"


def begin(api_url: str) -> str:
    reply = httpx.post(f"{api_url}/api/experiments", json={"name": "with_media"}, trust_env=False, timeout=60)
    return str(reply.json()["iid"])


def report_histograms(api_url: str, iid: str, steps: range) -> None:
    histograms = [
        {"name": "fc/weight", "step": step, "time": 0.0, "edges": [-1.0, 0.0, 1.0], "counts": [step + 1, 5]}
        for step in steps
    ]
    body = {"session": "s", "seq": steps.stop, "histograms": histograms}
    httpx.post(f"{api_url}/api/histograms/{iid}", json=body, trust_env=False, timeout=60).raise_for_status()


def drawn_width(tab: Page) -> int:
    """Return how wide the picture on the page is, as it was sent."""
    found = tab.get_by_test_id("stImage").locator("img")
    return int(found.evaluate(_WIDTH)) if found.count() == 1 else 0


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_reader_goes_through_what_a_script_shows(tab: Page, stack: Stack) -> None:
    api_url = stack.api.api_url
    iid = begin(api_url)
    for step, size in ((0, 20), (10, 30)):
        send(api_url, iid, "confusion", picture(size), kind="image", step=step)
    report_histograms(api_url, iid, range(4))
    send(api_url, iid, "graph", network("stem", "block.0", "block.1", "head"), kind="graph")
    tab.goto(f"/run?iid={iid}")
    settle(tab)
    wait_for(tab, lambda: drawn_width(tab) == 30)

    send(api_url, iid, "confusion", picture(40), kind="image", step=20)
    wait_for(tab, lambda: drawn_width(tab) == 40)
    tab.get_by_role("slider", name="Step").press("Home")
    wait_for(tab, lambda: drawn_width(tab) == 20)

    tab.get_by_role("radio", name="Histograms").click()
    ridges = tab.get_by_role("figure", name="fc/weight").locator(".scatterlayer .trace")
    expect(ridges).to_have_count(8)
    report_histograms(api_url, iid, range(4, 6))
    expect(ridges).to_have_count(12)
    tab.get_by_role("radio", name="Heat map").click()
    expect(tab.locator(".heatmaplayer image")).to_have_count(1)

    tab.get_by_role("radio", name="Graph").click()
    boxes = tab.get_by_test_id("stGraphVizChart").locator("svg g.node")
    expect(boxes).to_have_count(4)
    expect(tab).to_have_url(f"{stack.url}/run?iid={iid}&media=Graph")
    tab.reload()
    settle(tab)
    expect(boxes).to_have_count(4)
