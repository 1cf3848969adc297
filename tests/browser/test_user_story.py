"""Open, submit, watch the epochs arrive, see four curves: the real programs, a real training."""

from __future__ import annotations

import re

import pytest
import torch
from playwright.sync_api import Page, expect

from tests.acted_run import ActedRun
from tests.browser.charts import CURVES, drawn_points
from tests.browser.conftest import Stack, Witness, badge, settle

pytestmark = pytest.mark.slow
NUM_EPOCHS = 6
TRAINING_TIMEOUT_MS = 90_000


def submit_by_form(tab: Page, *, num_epochs: int) -> None:
    tab.get_by_role("link", name="Submit", exact=True).click()
    epochs = tab.get_by_role("spinbutton", name="Epochs")
    epochs.fill(str(num_epochs))
    epochs.press("Tab")
    tab.get_by_role("button", name="Review").click()
    review = tab.get_by_role("dialog")
    expect(review).to_contain_text(
        re.compile(rf"Train small_cnn on digits with \w+ .* for {num_epochs} epochs")
    )
    review.get_by_role("button", name="Queue it").click()


def test_a_run_goes_from_the_form_to_four_curves(tab: Page, stack: Stack, witness: Witness) -> None:
    tab.goto("/runs")
    settle(tab)
    expect(tab.get_by_role("heading", name="Runs")).to_be_visible()

    submit_by_form(tab, num_epochs=NUM_EPOCHS)
    expect(tab.get_by_text("Run queued.")).to_be_visible()
    tab.get_by_role("link", name="Open the run").click()
    expect(tab).to_have_url(re.compile(r"/run\?iid=[0-9a-f]{32}$"))

    expect(tab.get_by_text(re.compile(rf"Epoch [1-9] of {NUM_EPOCHS}"))).to_be_visible(
        timeout=TRAINING_TIMEOUT_MS
    )
    expect(badge(tab, "done")).to_be_visible(timeout=TRAINING_TIMEOUT_MS)
    expect(badge(tab, "idle")).to_be_visible()
    for curve in CURVES:
        expect(tab.get_by_role("figure", name=curve.title, exact=True)).to_be_visible()
        assert drawn_points(tab, curve) == [NUM_EPOCHS] * curve.traces
    expect(tab.get_by_role("button", name="Share chart")).to_have_count(0)
    run_id = tab.url.rpartition("=")[2]
    assert len(stack.api.list_epochs(run_id).epochs) == NUM_EPOCHS
    assert stack.api.get_run(run_id).hyper_params["num_epochs"] == NUM_EPOCHS
    assert sum("plotly-basic" in url for url in witness.requests) == 1

    expect(tab.get_by_role("heading", name="Models")).to_be_visible()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="PyTorch").click()
    assert download.value.suggested_filename == f"{run_id}-best_model.pt"
    assert torch.load(download.value.path(), weights_only=True)

    tab.get_by_role("link", name="Runs", exact=True).click()
    settle(tab)
    # The table is a canvas; what it shows is also in it as a table, for those who cannot see.
    row = tab.get_by_test_id("stDataFrame").locator("tr").filter(has_text=run_id[:8])
    expect(row).to_contain_text("done")
    expect(row).to_contain_text("small_cnn · digits")


def test_the_api_s_reason_stands_beside_the_field(tab: Page) -> None:
    tab.goto("/submit")
    settle(tab)
    rate = tab.get_by_role("spinbutton", name="Learning rate")
    rate.fill("0")
    rate.press("Tab")
    tab.get_by_role("button", name="Review").click()
    tab.get_by_role("dialog").get_by_role("button", name="Queue it").click()

    expect(tab.get_by_role("dialog")).to_have_count(0)
    column = tab.get_by_test_id("stColumn").filter(has=rate)
    expect(column).to_contain_text("greater than 0")


def test_clicking_a_row_opens_that_run(tab: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db, network="resnet9")
    acted.record(2)
    acted.finish()
    tab.goto(f"/runs?q={acted.run_id}")
    settle(tab)
    table = tab.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    box = table.bounding_box()
    assert box is not None
    tab.mouse.click(box["x"] + 120, box["y"] + 36 + 20)

    expect(tab).to_have_url(re.compile(rf"/run\?iid={acted.run_id}$"))
    expect(tab.get_by_role("heading", name="resnet9 · digits · adam")).to_be_visible()
