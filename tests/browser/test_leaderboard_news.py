"""Results of elsewhere are added from a file, and what finishes shows by itself in a zoomed chart."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from schema.leaderboard import StatedResult
from tests.browser.charts import Curve, wait_for, x_range
from tests.browser.conftest import Stack, settle

pytestmark = pytest.mark.slow

# Others finish runs too, of other datasets.
DATASET = "elsewhere"
CHART = Curve("Accuracy against CO₂", 1)
HEADER = "run_id,network,dataset,accuracy,energy_kwh,co2_g,training_time_sec\n"


def row(run_id: str, accuracy: str, co2_g: float) -> str:
    return f"{run_id},vit,{DATASET},{accuracy},0.001,{co2_g},60\n"


def state(stack: Stack, run_id: str, accuracy: float, co2_g: float) -> None:
    stated = {"network": "vit", "dataset": DATASET, "co2_g": co2_g, "energy_kwh": 0.001, "duration_s": 60.0}
    stack.db.finished.add(StatedResult.model_validate({"run_id": run_id, "accuracy": accuracy, **stated}))


def choose_file(tab: Page, text: str) -> None:
    file: FilePayload = {"name": "results.csv", "mimeType": "text/csv", "buffer": text.encode()}
    tab.locator('input[type="file"]').set_input_files(file)


@pytest.mark.parametrize("color_scheme", ["dark", "light"])
def test_a_file_with_a_mistake_is_mended_and_added(tab: Page, stack: Stack, color_scheme: str) -> None:
    state(stack, "news-known", 0.9, 1.0)
    run_id = f"news-{color_scheme}"
    tab.goto(f"/leaderboard?dataset={DATASET}&least=10")
    settle(tab)
    tab.get_by_text("Add results from elsewhere").click()
    choose_file(tab, HEADER + row("news-known", "0.9", 1.0) + row(run_id, "91", 1.1))
    expect(tab.get_by_text("nothing of it is added")).to_be_visible()
    tab.get_by_role("button", name=re.compile("Remove")).first.click()
    expect(tab.get_by_text("nothing of it is added")).to_be_hidden()
    choose_file(tab, HEADER + row("news-known", "0.9", 1.0) + row(run_id, "0.91", 1.1))
    expect(tab.get_by_text("1 new, 1 known already.")).to_be_visible()
    tab.get_by_role("button", name="Add 1 run").click()
    expect(tab.get_by_text("1 run was added.")).to_be_visible()
    assert stack.db.runs.get(run_id).best_accuracy == 0.91


def test_what_finishes_shows_by_itself_and_the_zoom_stays(tab: Page, stack: Stack) -> None:
    for number in range(6):
        state(stack, f"news-{number}", 0.8 + number / 100, 1.0 + number)
    tab.goto(f"/leaderboard?dataset={DATASET}&least=10")
    settle(tab)
    chart = tab.get_by_role("figure", name=CHART.title)
    box = chart.locator(".nsewdrag").bounding_box()
    assert box is not None
    before = x_range(tab, CHART)
    tab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    tab.mouse.up()
    wait_for(tab, lambda: x_range(tab, CHART) != before)
    zoomed = x_range(tab, CHART)
    state(stack, "news-late", 0.95, 2.0)
    late = """chart => chart.data.some(trace => (trace.customdata ?? []).includes("news-late"))"""
    wait_for(tab, lambda: bool(chart.evaluate(late)))
    assert x_range(tab, CHART) == zoomed
