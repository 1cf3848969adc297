"""An impossible budget, the advice for it, and a run of what was recommended."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from schema import EpochResult, Lease, RunOptions, Status
from tests.acted_run import HYPER_PARAMS
from tests.browser.conftest import Stack, settle

pytestmark = pytest.mark.slow

# Others finish runs of digits too, on other devices.
DATASET, DEVICE = "digits", "Test GPU"
PAGE = f"/recommend?dataset={DATASET}&device=Test+GPU"
NETWORKS = {"small_cnn": (0.91, 0.4), "resnet9": (0.935, 3.0), "resnet18": (0.945, 20.0)}


@pytest.fixture(scope="module")
def finished(stack: Stack) -> None:
    """Finish three runs of each of three networks, on a device of their own."""
    for network, (accuracy, co2_g) in NETWORKS.items():
        for seed in range(3):
            finish(stack, f"rec-{network.replace('_', '-')}-{seed}", network, seed, accuracy, co2_g)


def finish(stack: Stack, run_id: str, network: str, seed: int, accuracy: float, co2_g: float) -> None:
    """Train a run of one epoch, as its worker; a later seed is a little better and takes a little more."""
    params = {**HYPER_PARAMS, "network": network, "dataset": DATASET, "seed": seed, "num_epochs": 3}
    stack.db.queue.submit(params, RunOptions(queue=run_id), run_id=run_id)
    lease = stack.db.queue.claim([run_id], worker_id=f"w-{run_id}", lease_s=60)
    assert isinstance(lease, Lease)
    stack.db.runs.describe(lease, {"device": "cuda:0", "gpu_name": DEVICE, "parameters": 10_000})
    accuracy, co2_g = accuracy + seed / 1_000, co2_g * (1 + seed / 10)
    result = {
        "epoch": 1,
        "train_loss": 0.1,
        "test_loss": 0.1,
        "train_accuracy": accuracy,
        "test_accuracy": accuracy,
        "duration_s": 30 * co2_g,
        "co2_g": co2_g,
        "energy_kwh": co2_g / 400,
        "energy_quality": "estimated" if network == "resnet18" else "measured",
    }
    stack.db.runs.record_epoch(lease, EpochResult.model_validate(result))
    stack.db.queue.finish(lease, Status.DONE)


@pytest.mark.parametrize("color_scheme", ["dark", "light"])
def test_the_advice_for_an_impossible_budget_leads_to_a_run(
    tab: Page, stack: Stack, finished: None, color_scheme: str
) -> None:
    tab.goto(PAGE)
    settle(tab)
    expect(tab.get_by_role("heading", name="resnet18")).to_be_visible()
    for label, value in (("Near accuracy %", "93.6"), ("CO₂ at most g", "0.01")):
        tab.get_by_role("spinbutton", name=label).fill(value)
        tab.get_by_role("spinbutton", name=label).press("Enter")
        settle(tab)
    expect(
        tab.get_by_text(re.compile("None of 3 configurations keeps to within 1.point of 93.60"))
    ).to_be_visible()
    tab.get_by_role("button", name="Allow this").last.click()
    settle(tab)
    expect(tab.get_by_role("heading", name="resnet9")).to_be_visible()
    expect(tab.get_by_text("3 runs stand behind it")).to_be_visible()
    assert parse_qs(urlsplit(tab.url).query)["co2"] == ["3.3"]
    tab.get_by_role("button", name="Submit this").click()
    tab.wait_for_url(re.compile(r"/submit\?from=rec-resnet9-1"))
    settle(tab)
    expect(tab.get_by_role("spinbutton", name="Epochs")).to_have_value("3")
    before = {run.run_id for run in stack.db.runs.list().runs}
    tab.get_by_role("button", name="Review").click()
    expect(tab.get_by_role("dialog")).to_contain_text(f"Train resnet9 on {DATASET}")
    tab.get_by_role("dialog").get_by_role("button", name="Queue it").click()
    expect(tab.get_by_text(re.compile("is queued"))).to_be_visible()
    (queued,) = {run.run_id for run in stack.db.runs.list().runs} - before
    assert stack.db.runs.get(queued).hyper_params.items() >= {"network": "resnet9", "num_epochs": 3}.items()


@pytest.mark.parametrize("color_scheme", ["dark", "light"])
def test_an_answer_shows_its_spread_and_what_it_beats(tab: Page, finished: None, color_scheme: str) -> None:
    tab.goto(f"{PAGE}&co2=30")
    settle(tab)
    expect(tab.get_by_text("What it beats")).to_be_visible()
    expect(tab.get_by_text(re.compile("some estimated it"))).to_be_visible()
    expect(tab.get_by_test_id("stMetricValue")).to_have_count(4)
    expect(tab.get_by_test_id("stDataFrame")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(tab: Page, finished: None) -> None:
    tab.set_viewport_size({"width": 360, "height": 800})
    tab.goto(f"{PAGE}&co2=30")
    settle(tab)
    expect(tab.get_by_text("What it beats")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
