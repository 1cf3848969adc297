"""The live page of a run: a curve for each of its metrics, as they come."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.acted_run import ActedRun
from tests.browser.charts import wait_for
from tests.browser.conftest import Stack
from tests.browser.test_live_view import CURVE_COLUMNS
from tests.pictures import batch

pytestmark = pytest.mark.slow


def begin(stack: Stack) -> str:
    body = {"name": "resnet50_training"}
    begun = httpx.post(f"{stack.api.api_url}/api/experiments", json=body, trust_env=False, timeout=60)
    return str(begun.json()["iid"])


def report(stack: Stack, iid: str, seq: int, first: int, **values: Sequence[float | str]) -> None:
    points = {
        name: {
            "steps": list(range(first, first + len(own))),
            "values": list(own),
            "times": [0.0] * len(own),
        }
        for name, own in values.items()
    }
    body = {"session": "s", "seq": seq, "points": points}
    httpx.post(
        f"{stack.api.api_url}/api/metrics/{iid}", json=body, trust_env=False, timeout=60
    ).raise_for_status()


def shown(tab: Page) -> list[str]:
    return tab.locator(".metric h3").all_inner_texts()


def columns(tab: Page, name: str) -> list[int]:
    """The columns of a chart that have a curve."""
    found: list[int] = tab.get_by_label(name, exact=True).locator("canvas").evaluate(CURVE_COLUMNS)
    return found


def test_the_metrics_of_a_script_are_drawn_as_they_come(stack: Stack, tab: Page) -> None:
    iid = begin(stack)
    report(stack, iid, 1, 0, **{"system/cpu_percent": [5.0], "loss": [3.0, 2.0], "accuracy": [0.5, 0.6]})
    tab.goto(f"{stack.api.api_url}/live?run_id={iid}")
    wait_for(tab, lambda: shown(tab) == ["accuracy", "loss", "system/cpu_percent"])
    expect(tab.locator("#tiles")).to_be_hidden()
    loss = tab.get_by_label("loss", exact=True)
    expect(loss.locator(".quiet")).to_have_text("2")
    report(stack, iid, 2, 2, loss=[1.5, "NaN", 1.25])
    expect(loss.locator(".quiet")).to_have_text("1.25")
    wait_for(tab, lambda: len(columns(tab, "loss")) > 20)
    expect(tab.locator("#connection")).to_have_text("live")
    report(stack, iid, 3, 0, val_loss=[4.0, 3.0])
    wait_for(tab, lambda: shown(tab) == ["accuracy", "loss", "val_loss", "system/cpu_percent"])
    tab.get_by_label("Filter metrics by name").fill("LOSS")
    wait_for(tab, lambda: shown(tab) == ["loss", "val_loss"])
    expect(tab.locator("#metrics-count")).to_have_text("2 of 4")
    httpx.post(
        f"{stack.api.api_url}/api/experiments/{iid}/status",
        json={"status": "done"},
        trust_env=False,
        timeout=60,
    )
    expect(tab.locator("#connection")).to_have_text("done")


def test_points_that_come_while_it_is_paused_are_drawn_afterwards(stack: Stack, tab: Page) -> None:
    iid = begin(stack)
    report(stack, iid, 1, 0, loss=[3.0])
    tab.goto(f"{stack.api.api_url}/live?run_id={iid}")
    last = tab.get_by_label("loss", exact=True).locator(".quiet")
    expect(last).to_have_text("3")
    tab.get_by_role("button", name="Pause").click()
    report(stack, iid, 2, 1, loss=[2.0, 1.0])
    report(stack, iid, 3, 0, marker=[0.0])
    expect(last).to_have_text("3")
    tab.get_by_role("button", name="Resume").click()
    expect(last).to_have_text("1")
    wait_for(tab, lambda: shown(tab) == ["loss", "marker"])


def test_a_run_with_pictures_has_both(stack: Stack, tab: Page) -> None:
    iid = begin(stack)
    report(stack, iid, 1, 0, loss=[3.0])
    tab.goto(f"{stack.api.api_url}/live?run_id={iid}")
    expect(tab.locator("#metrics")).to_be_visible()
    expect(tab.locator("#tiles")).to_be_hidden()
    httpx.post(
        f"{stack.api.api_url}/rpc/batch_update", json=batch(1, 16) | {"run_id": iid}, trust_env=False
    ).raise_for_status()
    expect(tab.locator("#tiles")).to_be_visible()
    expect(tab.locator("#badge")).to_have_text("ready 16/16")
    expect(tab.locator("#metrics")).to_be_visible()


def test_the_epochs_of_a_run_of_the_queue_are_curves_too(stack: Stack, tab: Page) -> None:
    acted = ActedRun(stack.db)
    acted.record(2)
    tab.goto(f"{stack.api.api_url}/live?run_id={acted.run_id}")
    expected = ["test_accuracy", "test_loss", "train_accuracy", "train_loss"]
    wait_for(tab, lambda: shown(tab) == [*expected, "co2_g", "duration_s", "energy_kwh"])
    before = tab.get_by_label("train_loss", exact=True).locator(".quiet").inner_text()
    acted.record()
    expect(tab.get_by_label("train_loss", exact=True).locator(".quiet")).not_to_have_text(before)
    acted.finish()
    expect(tab.locator("#connection")).to_have_text("done")
