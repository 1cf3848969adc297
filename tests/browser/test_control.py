"""Runs and workers are controlled from the page: seen at once when asked, and as it is within two seconds."""

from __future__ import annotations

import os
import re
import signal
import uuid

import pytest
from playwright.sync_api import Locator, Page, expect

from schema import Request, RunError, RunOptions, Status
from tests.acted_run import HYPER_PARAMS, ActedRun
from tests.browser.charts import wait_for
from tests.browser.conftest import Stack, badge, settle
from tests.records import TORCH_WORKER

pytestmark = pytest.mark.slow

ERROR = RunError(kind="TrainingFailed", message="The loss is not finite.", hint="Lower the learning rate.")
HEADER_PX, ROW_PX = 36, 36


def press(tab: Page, name: str) -> None:
    tab.get_by_role("button", name=name, exact=True).click()


def open_run(tab: Page, run_id: str) -> None:
    tab.goto(f"/run?iid={run_id}")
    settle(tab)


def mark(tab: Page, *rows: int) -> None:
    """Tick the boxes of rows: the table is a canvas."""
    table = tab.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    settle(tab)
    box = table.bounding_box()
    assert box is not None
    for row in rows:
        tab.mouse.click(box["x"] + 16, box["y"] + HEADER_PX + ROW_PX * (row + 0.5))
        settle(tab)


def test_a_running_run_is_cancelled_from_its_page(tab: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db)
    acted.record(2)
    open_run(tab, acted.run_id)
    expect(badge(tab, "running")).to_be_visible()

    press(tab, "Cancel")
    expect(badge(tab, "cancelling …")).to_be_visible()
    expect(tab.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
    assert stack.db.queue.renew(acted.lease, lease_s=60) is Request.CANCEL

    stack.db.queue.release(acted.lease, reason="asked for")
    expect(badge(tab, "cancelled")).to_be_visible()
    expect(badge(tab, "idle")).to_be_visible()
    press(tab, "Retry")
    expect(badge(tab, "waiting")).to_be_visible()


def test_a_real_worker_stops_the_run_that_is_cancelled(tab: Page, stack: Stack) -> None:
    run_id = stack.api.submit({"trainer": "sleepy", "num_epochs": 500, "epoch_s": 0.5}).iid
    open_run(tab, run_id)
    expect(tab.get_by_text(re.compile(r"Epoch [1-9]\d* of 500"))).to_be_visible()

    press(tab, "Cancel")

    expect(badge(tab, "cancelled")).to_be_visible()
    assert stack.api.get_run(run_id).status is Status.CANCELLED


def test_a_failed_run_says_why_and_is_retried_from_its_page(tab: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db)
    acted.finish(ERROR)
    open_run(tab, acted.run_id)
    expect(tab.get_by_text("Lower the learning rate.")).to_be_visible()

    press(tab, "Retry")

    expect(badge(tab, "waiting")).to_be_visible()
    expect(badge(tab, "live")).to_be_visible()
    expect(tab.get_by_text("Lower the learning rate.")).to_have_count(0)
    assert stack.db.runs.get(acted.run_id).status is Status.WAITING


def test_a_click_is_seen_before_the_api_has_answered(tab: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db)
    acted.finish(ERROR)
    open_run(tab, acted.run_id)
    os.killpg(stack.backend.pid, signal.SIGSTOP)
    try:
        press(tab, "Retry")
        expect(badge(tab, "retrying …")).to_be_visible()
    finally:
        os.killpg(stack.backend.pid, signal.SIGCONT)

    expect(badge(tab, "waiting")).to_be_visible()


def test_a_deletion_lists_what_goes_and_leads_back_to_the_list(tab: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db)
    acted.record(3)
    acted.finish()
    open_run(tab, acted.run_id)

    press(tab, "Delete")
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("3 epochs")
    dialog.get_by_role("button", name="Delete it").click()

    expect(tab.get_by_role("heading", name="Runs")).to_be_visible()
    expect(tab.get_by_text(f"Run {acted.run_id[:8]} is deleted.")).to_be_visible()
    assert stack.db.runs.find_many([acted.run_id]) == {}


def test_a_run_is_made_from_another_with_a_changed_value(tab: Page, stack: Stack) -> None:
    acted = ActedRun(stack.db, learning_rate=0.25)
    acted.finish(ERROR)
    open_run(tab, acted.run_id)

    press(tab, "Rerun")
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Learning rate", exact=True).fill("0.1")
    # The click takes the focus from the field, and with it what was typed there.
    dialog.get_by_role("button", name="Queue it").click()

    expect(tab.get_by_text(f"made from {acted.run_id[:8]}.")).to_be_visible()
    expect(badge(tab, "waiting")).to_be_visible()
    expect(dialog).to_have_count(0)
    (new,) = [run for run in stack.db.runs.list().runs if run.rerun_of == acted.run_id]
    assert new.run_id in tab.url
    assert new.hyper_params["learning_rate"] == 0.1


def test_marked_runs_are_cancelled_together(tab: Page, stack: Stack) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    options = RunOptions(queue=project, project=project)
    ids = [stack.db.queue.submit(HYPER_PARAMS, options).run_id for _ in range(3)]
    tab.goto(f"/runs?q={project}")

    table = tab.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    settle(tab)
    before = table.bounding_box()
    mark(tab, 0, 2)
    expect(tab.get_by_text("2 runs marked")).to_be_visible()
    assert table.bounding_box() == before, "the rows moved from under the pointer"
    press(tab, "Cancel")

    expect(tab.get_by_text("2 runs cancelled.")).to_be_visible()
    assert [stack.db.runs.get(run_id).status.value for run_id in ids] == ["cancelled", "waiting", "cancelled"]


def test_a_worker_is_drained_from_the_page_and_called_back(tab: Page, stack: Stack) -> None:
    name = f"w-{uuid.uuid4().hex[:8]}"
    worker = TORCH_WORKER.model_copy(update={"worker_id": name, "name": name, "queues": (name,)})
    stack.db.workers.beat(worker, ttl_s=600)
    tab.goto("/workers")
    settle(tab)
    card = card_of(tab, name)
    expect(card).to_contain_text("idle")

    card.get_by_role("button", name="Drain").click()
    expect(card).to_contain_text("draining")
    wait_for(tab, lambda: stack.db.workers.beat(worker, ttl_s=600))

    card.get_by_role("button", name="Take runs again").click()
    expect(card).to_contain_text("idle")
    assert not stack.db.workers.beat(worker, ttl_s=600)
    stack.db.workers.remove(name)


def card_of(tab: Page, name: str) -> Locator:
    return tab.get_by_test_id("stColumn").filter(has_text=name)


@pytest.mark.parametrize(
    ("path", "heading"),
    [("/runs", "Runs"), ("/workers", "Workers"), ("/totals", "Totals"), ("/carbon", "Carbon")],
)
def test_every_page_has_an_address_of_its_own(tab: Page, path: str, heading: str) -> None:
    tab.goto(path)
    settle(tab)

    expect(tab.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(tab.get_by_role("dialog")).to_have_count(0)


def test_a_link_to_the_failed_runs_keeps_its_filter(tab: Page, stack: Stack) -> None:
    ActedRun(stack.db).finish(ERROR)
    tab.goto("/runs?status=failed")
    settle(tab)

    expect(tab.get_by_role("radio", name="failed", checked=True)).to_be_visible()
    expect(tab.get_by_role("button", name="Retry all")).to_be_visible()
    expect(tab.get_by_role("dialog")).to_have_count(0)
