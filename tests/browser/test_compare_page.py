"""From the list of runs to their comparison, and back to it by its address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.acted_run import ActedRun
from tests.browser.charts import Curve, drawn_points, figure, wait_for
from tests.browser.conftest import Stack, Witness, settle

pytestmark = pytest.mark.slow

LOSS = Curve("train_loss", 2)
# A page that is loaded for the first time on a machine that does much else.
SLOW_MS = 60_000
SHOWN = """chart => JSON.stringify([chart.layout.xaxis.title.text, chart.layout.yaxis.type,
    chart.data.map(line => [line.name, line.opacity, line.x, line.y])])"""

LEGEND_HEIGHT = "chart => chart.querySelector('.legend').getBoundingClientRect().height"
ROOM = """chart => chart.querySelector('.legend').getBoundingClientRect().top
    - chart.querySelector('.xtitle').getBoundingClientRect().bottom"""


def test_marked_runs_are_compared_and_the_address_leads_back(tab: Page, stack: Stack) -> None:
    first, second = ActedRun(stack.db), ActedRun(stack.db, learning_rate=0.01)
    first.record(3)
    first.finish()
    second.record(2)
    tab.goto("/runs")
    settle(tab)
    table = tab.get_by_test_id("stDataFrame").first
    box = table.bounding_box()
    assert box is not None
    # The newest two runs; the table is a canvas.
    for row in (1, 2):
        tab.mouse.click(box["x"] + 15, box["y"] + 36 * row + 18)
        settle(tab)
    tab.get_by_role("button", name="Compare").click()
    expect(tab.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    wait_for(tab, lambda: set(re.findall("run=([0-9a-f]{32})", tab.url)) == {first.run_id, second.run_id})
    wait_for(tab, lambda: sorted(drawn_points(tab, LOSS)) == [2, 3])
    tab.goto(tab.url)
    wait_for(tab, lambda: sorted(drawn_points(tab, LOSS)) == [2, 3])
    second.record()
    wait_for(tab, lambda: drawn_points(tab, LOSS) == [3, 3])
    tab.get_by_role("radio", name="Wall time").or_(tab.get_by_role("button", name="Wall time")).first.click()
    wait_for(tab, lambda: "axis=Wall" in tab.url)


def saved_by(tab: Page, button: Locator, folder: Path) -> Path:
    """Click a button, and return the file that it saves."""
    with tab.expect_download() as saved:
        button.click()
    path = folder / saved.value.suggested_filename
    saved.value.save_as(path)
    return path


def test_three_runs_are_compared_and_the_link_shows_somebody_else_the_same(
    tab: Page, stack: Stack, browser: Browser, witness: Witness, tmp_path: Path
) -> None:
    runs = [ActedRun(stack.db, seed=seed) for seed in range(3)]
    for run in runs:
        run.record(4)
        run.finish()
    tab.set_default_timeout(SLOW_MS)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto("/compare?" + "&".join(f"run={run.run_id}" for run in runs))
    wait_for(tab, lambda: drawn_points(tab, LOSS) == [4, 4, 4], timeout_ms=2 * SLOW_MS)
    tab.get_by_role("radio", name="Energy").or_(tab.get_by_role("button", name="Energy")).first.click()
    wait_for(tab, lambda: "energy used" in str(figure(tab, LOSS).evaluate(SHOWN)), timeout_ms=2 * SLOW_MS)
    tab.get_by_text("Log y", exact=True).click()
    wait_for(tab, lambda: '"log"' in str(figure(tab, LOSS).evaluate(SHOWN)), timeout_ms=2 * SLOW_MS)
    wait_for(tab, lambda: "axis=Energy" in tab.url and "logy=true" in tab.url, timeout_ms=2 * SLOW_MS)
    tab.get_by_role("button", name="Copy link").click()
    wait_for(tab, lambda: tab.evaluate("navigator.clipboard.readText()") == tab.url, timeout_ms=2 * SLOW_MS)
    other = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    other.set_default_timeout(SLOW_MS)
    witness.watch(other)
    other.goto(tab.evaluate("navigator.clipboard.readText()"))
    expect(figure(other, LOSS)).to_be_visible(timeout=SLOW_MS)
    wait_for(
        other,
        lambda: figure(other, LOSS).evaluate(SHOWN) == figure(tab, LOSS).evaluate(SHOWN),
        timeout_ms=2 * SLOW_MS,
    )
    figure(other, LOSS).hover()
    chart = saved_by(other, figure(other, LOSS).locator('[data-title="Save as SVG"]'), tmp_path)
    assert chart.name == "train-loss.svg"
    assert chart.read_text().startswith("<svg")
    curves = saved_by(other, other.get_by_role("button", name="Curves as CSV"), tmp_path)
    assert curves.name == "compared-curves.csv"
    assert curves.read_text().startswith("run_id,run,simulated,metric,step,energy_used_kwh,")
    other.context.close()


def test_a_legend_stays_below_its_axis_when_a_phone_is_turned(tab: Page, stack: Stack) -> None:
    runs = [ActedRun(stack.db, seed=seed) for seed in range(4)]
    for run in runs:
        run.record(2)
        run.finish()
    tab.set_default_timeout(SLOW_MS)
    tab.set_viewport_size({"width": 360, "height": 900})
    tab.goto("/compare?" + "&".join(f"run={run.run_id}" for run in runs))
    wait_for(tab, lambda: drawn_points(tab, LOSS) == [2] * 4, timeout_ms=2 * SLOW_MS)
    lines = figure(tab, LOSS).evaluate(LEGEND_HEIGHT)
    tab.set_viewport_size({"width": 768, "height": 900})
    # Of fewer lines, in the wider chart.
    wait_for(tab, lambda: figure(tab, LOSS).evaluate(LEGEND_HEIGHT) < lines, timeout_ms=SLOW_MS)
    wait_for(tab, lambda: figure(tab, LOSS).evaluate(ROOM) > 0, timeout_ms=SLOW_MS)
