"""A sweep from the form to its front, though one of its two workers is killed, with real trainings."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import Page, expect

from schema import Status, Worker
from schema.sweeps import TrialState
from tests.browser.conftest import Stack, badge, settle
from tests.programs import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # 13 trainings, on a machine that may be busy
TRIALS = 12
# Beside other programs of a small machine; a killed worker's lease and lead are part of it.
SWEEP_TIMEOUT_S = 300


def start_second_worker(stack: Stack) -> tuple[Worker, int]:
    """Start a worker beside the stack's own; returns what it says of itself, and its process."""
    # It is to be killed: nobody waits longer for its run than for this lease.
    process = stack.programs.start_worker(lease_s=3.0)

    def find() -> list[Worker]:
        return [worker for worker in stack.db.workers.list_live() if worker.pid == process.pid]

    wait_until(find, timeout_s=120, what="the second worker lives")
    return find()[0], process.pid


def fill(tab: Page, label: str, value: str) -> None:
    field = tab.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")
    settle(tab)


@pytest.mark.parametrize("color_scheme", ["dark"])
def test_a_sweep_is_started_outlives_a_killed_worker_and_shows_its_front(
    tab: Page, stack: Stack, color_scheme: str
) -> None:
    victim, pid = start_second_worker(stack)
    tab.goto("/sweeps")
    settle(tab)
    tab.get_by_role("button", name="Start a sweep").click()
    expect(tab.get_by_role("heading", name="Start a sweep")).to_be_visible()
    fill(tab, "Epochs of a trial", "2")
    fill(tab, "Name", "digits at night")
    tab.get_by_role("button", name="Start the sweep").click()
    tab.wait_for_url(re.compile(r"/sweeps\?id=[0-9a-f]{32}$"))
    sweep_id = tab.url.rpartition("=")[2]
    expect(tab.get_by_role("heading", name="digits at night")).to_be_visible()

    def has_trial() -> bool:
        running = stack.db.runs.list(status=Status.RUNNING).runs
        return any(run.worker == victim.worker_id for run in running)

    wait_until(has_trial, timeout_s=SWEEP_TIMEOUT_S, what="the second worker trains a trial")
    os.kill(pid, signal.SIGKILL)

    expect(badge(tab, "done")).to_be_visible(timeout=1000 * SWEEP_TIMEOUT_S)
    expect(tab.get_by_role("figure", name="Pareto front").locator("svg.main-svg").first).to_be_visible()
    expect(tab.get_by_role("figure", name="History: validation accuracy")).to_be_visible()
    expect(tab.get_by_role("link", name="Submit this").first).to_be_visible()
    sweep, trials = stack.api.get_sweep(sweep_id), stack.api.list_trials(sweep_id).trials
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert sweep.summary.counts[TrialState.COMPLETE] == TRIALS
    tagged = [run for run in stack.db.runs.list().runs if f"sweep:{sweep_id}" in run.options.tags]
    assert len(tagged) == TRIALS
