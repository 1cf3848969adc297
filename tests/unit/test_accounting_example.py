"""The example of docs/methods.md, section "Accounting and prediction", recomputed from its own numbers."""

from __future__ import annotations

import re
import statistics
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carbon_aware_trainer.accounting import PowerSample, Span, co2_of, facility_energy_kwh
from carbon_aware_trainer.equivalents import equivalents_of
from carbon_aware_trainer.figures import (
    above_idle_kwh,
    accuracy_per_kwh,
    error_share,
    g_per_correct_prediction,
)
from carbon_aware_trainer.prediction import predict_whole, t_95
from carbon_aware_trainer.records import IntensitySeries, Interval

METHODS = Path(__file__).parents[2] / "docs" / "methods.md"
START, CHANGE, END = (
    datetime(2026, 3, 1, hour, minute, tzinfo=UTC) for hour, minute in ((12, 30), (13, 0), (14, 0))
)


@pytest.fixture(scope="module")
def section() -> str:
    return METHODS.read_text(encoding="utf-8").split("## Accounting and prediction")[1]


@pytest.fixture(scope="module")
def example(section: str) -> dict[str, float]:
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([0-9.e-]+) \|$", section, flags=re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_the_epoch_of_the_example_adds_up(example: dict[str, float]) -> None:
    kwh = facility_energy_kwh(example["it_kwh"], example["pue"])
    intervals = (
        Interval(START, CHANGE, example["first_g_per_kwh"]),
        Interval(CHANGE, END, example["second_g_per_kwh"]),
    )
    series = IntensitySeries("DE", "grid", "average lifecycle", intervals)
    power = (PowerSample(CHANGE, example["first_w"]), PowerSample(END, example["second_w"]))
    found = co2_of(Span(START, END, kwh), series, power)
    assert kwh == pytest.approx(example["epoch_kwh"])
    assert found.co2_g == pytest.approx(example["epoch_co2_g"])
    shares = (example["first_w"] * 0.5, example["second_w"] * 1.0)
    assert shares[0] / sum(shares) == pytest.approx(example["first_share"], rel=1e-5)


def test_the_figures_of_the_example_follow(example: dict[str, float]) -> None:
    kwh, co2_g, accuracy = (example[name] for name in ("epoch_kwh", "epoch_co2_g", "best_accuracy"))
    idle_w = example["idle_w"] * example["machine_share"] * example["pue"]
    duration_s = (END - START).total_seconds()
    assert above_idle_kwh(kwh, idle_w, duration_s) == pytest.approx(example["above_idle_kwh"])
    per_image = g_per_correct_prediction(co2_g, accuracy, int(example["test_images"]))
    assert per_image == pytest.approx(example["g_per_correct"], rel=1e-5)
    assert accuracy_per_kwh(accuracy, kwh) == pytest.approx(example["accuracy_per_kwh"], rel=1e-5)
    assert error_share("measured", duration_s) == pytest.approx(example["measured_error"], rel=1e-4)
    car, phone = equivalents_of(co2_g)
    assert car.amount == pytest.approx(example["car_km"], rel=1e-5)
    assert phone.amount == pytest.approx(example["phone_charges"], rel=1e-5)


def test_the_prediction_of_the_example_follows(section: str, example: dict[str, float]) -> None:
    listed = re.search(r"a run of (\d+) epochs that used ([\d., and]+) Wh so far", section)
    assert listed is not None
    costs = [float(number) for number in re.findall(r"\d+\.\d+", listed[2])]
    found = predict_whole(costs, num_epochs=int(listed[1]))
    assert found is not None
    assert found.high is not None
    assert found.low is not None
    assert sum(costs) == pytest.approx(example["used_wh"])
    assert statistics.mean(costs[1:]) == pytest.approx(example["mean_wh"])
    assert statistics.stdev(costs[1:]) == pytest.approx(example["s_wh"])
    assert t_95(2) == example["t_95"]
    assert found.value == pytest.approx(example["whole_wh"])
    assert found.high - found.value == pytest.approx(example["half_wh"], rel=1e-5)
    assert found.value - found.low == pytest.approx(example["half_wh"], rel=1e-5)


def test_every_equivalent_names_the_source_that_the_docs_name(section: str) -> None:
    for found in equivalents_of(1.0):
        title = found.source.split(",")[1].strip()
        assert title in section
        assert "2024" in found.source
