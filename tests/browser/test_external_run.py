"""The page of a run that its own script reports, as it is drawn."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.charts import Curve, drawn_points, wait_for
from tests.browser.conftest import Stack, badge, settle

pytestmark = pytest.mark.slow

LOSS = Curve("loss", 2)


def report(api_url: str, iid: str, seq: int, steps: range) -> None:
    points = {
        name: {
            "steps": list(steps),
            "values": [1 / (step + offset) for step in steps],
            "times": [float(step) for step in steps],
        }
        for offset, name in ((1, "train_loss"), (2, "val_loss"))
    }
    body = {"session": "s", "seq": seq, "points": points}
    httpx.post(f"{api_url}/api/metrics/{iid}", json=body, trust_env=False, timeout=60).raise_for_status()


def test_points_appear_while_a_script_reports_them(tab: Page, stack: Stack) -> None:
    api_url = stack.api.api_url
    begun = httpx.post(
        f"{api_url}/api/experiments",
        json={"name": "resnet50_training", "tags": ["arch=resnet50"], "params": {"lr": 0.1}},
        trust_env=False,
    )
    iid = begun.json()["iid"]
    report(api_url, iid, 1, range(5))
    tab.goto(f"/run?iid={iid}")
    settle(tab)
    wait_for(tab, lambda: drawn_points(tab, LOSS) == [5, 5])
    expect(tab.get_by_role("heading", name="resnet50_training")).to_be_visible()
    expect(badge(tab, "live")).to_be_visible()

    report(api_url, iid, 2, range(5, 8))
    wait_for(tab, lambda: drawn_points(tab, LOSS) == [8, 8])

    httpx.post(
        f"{api_url}/api/experiments/{iid}/status", json={"status": "done"}, trust_env=False, timeout=60
    )
    expect(badge(tab, "done")).to_be_visible()
    expect(tab.get_by_role("button", name="Delete")).to_be_visible()
