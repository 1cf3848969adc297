"""From the list of runs to their comparison, and back to it by its address."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.acted_run import ActedRun
from tests.browser.charts import Curve, drawn_points, wait_for
from tests.browser.conftest import Stack, settle

pytestmark = pytest.mark.slow

LOSS = Curve("train_loss", 2)


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
