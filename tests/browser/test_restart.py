"""Page, browser and backend are closed and started again while a worker trains."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import JsonValue

from schema import Status
from tests.browser.charts import LOSS, drawn_points, figure, wait_for
from tests.browser.conftest import PATIENCE_MS, Stack, badge, settle
from tests.browser.test_user_story import TRAINING_TIMEOUT_MS, submit_by_form

pytestmark = pytest.mark.slow
NUM_EPOCHS = 10
HELD_AFTER = 5


@pytest.fixture
def other_tab(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A tab of a browser that shares nothing with the first one."""
    context = browser.new_context(base_url=stack.url)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def least_drawn(tab: Page) -> int:
    """How many epochs each line of the loss has at least."""
    return min(drawn_points(tab, LOSS), default=0) if figure(tab, LOSS).count() else 0


def test_a_run_goes_on_and_the_page_shows_all_of_it_and_takes_a_new_one(
    tab: Page, other_tab: Page, stack: Stack
) -> None:
    hold = stack.data_dir / "hold"
    hold.touch()
    asked: dict[str, JsonValue] = {
        "trainer": "sleepy",
        "num_epochs": NUM_EPOCHS,
        "epoch_s": 0.7,
        "hold_after": HELD_AFTER,
    }
    run_id = stack.api.submit(asked).iid
    other_tab.goto(f"/run?iid={run_id}")
    settle(other_tab)
    wait_for(other_tab, lambda: least_drawn(other_tab) >= 2)

    other_tab.context.close()
    stack.stop_page()
    stack.stop_backend()
    stack.start_backend()
    stack.start_page()
    so_far = stack.api.get_run(run_id)
    assert so_far.status is Status.RUNNING
    assert 2 <= so_far.epochs_done <= HELD_AFTER

    tab.goto(f"/run?iid={run_id}")
    settle(tab)
    wait_for(tab, lambda: least_drawn(tab) >= so_far.epochs_done)
    seen = least_drawn(tab)
    hold.unlink()
    wait_for(tab, lambda: least_drawn(tab) > seen)
    submit_by_form(tab, num_epochs=2)
    tab.get_by_role("link", name="Open the run").click()
    expect(tab).not_to_have_url(re.compile(run_id))
    expect(badge(tab, "done")).to_be_visible(timeout=TRAINING_TIMEOUT_MS)
    expect(tab.get_by_text("Epoch 2 of 2")).to_be_visible()

    first = stack.api.get_run(run_id)
    assert (first.status, first.attempt) == (Status.DONE, 1)
    assert [epoch.epoch for epoch in stack.api.list_epochs(run_id).epochs] == list(range(1, NUM_EPOCHS + 1))
