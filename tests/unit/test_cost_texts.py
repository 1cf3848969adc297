"""How predictions, equivalents and comparisons read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from schema import Cost, Equivalent, Estimate, PowerPoint, Prediction, Total
from tests.records import epoch
from views.charts import energy_figures, totals_figures
from views.equivalents import equivalent_text
from views.look import SOURCE_NAMES, source_color
from views.predicted import duration_text, energy_text, summary
from views.run.energy import change_text
from views.totals.page import add_up, unknown_note

NBSP = "\u00a0"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("estimate", "texts"),
    [
        (None, ("–", "")),
        (Estimate(value=0.002, low=0.001, high=0.003), ("2.00 Wh", "1.00–3.00 Wh")),
        (Estimate(value=0.002, low=0.001), ("2.00 Wh", "at least 1.00 Wh")),
        (Estimate(value=0.002), ("2.00 Wh", "spread unknown")),
        (Estimate(value=0.002, low=0.002, high=0.002), ("2.00 Wh", "2.00 Wh")),
    ],
)
def test_an_energy_and_its_interval_are_in_one_unit(
    estimate: Estimate | None, texts: tuple[str, str]
) -> None:
    assert tuple(text.replace(NBSP, " ") for text in energy_text(estimate)) == texts


def test_a_duration_s_interval_reads_like_durations() -> None:
    found = duration_text(Estimate(value=100, low=90, high=125))
    assert tuple(text.replace(NBSP, " ") for text in found) == (
        "1 min 40 s",
        "1 min 30 s to 2 min 05 s",
    )
    assert duration_text(Estimate(value=100))[1] == "spread unknown"
    assert duration_text(None) == ("–", "")


def test_a_summary_leaves_out_what_is_not_known() -> None:
    energy = Estimate(value=0.002, low=0.001, high=0.003)
    text = summary(Prediction(energy_kwh=energy, basis="", runs_used=[])).replace(NBSP, " ")
    assert text == "Whole run, predicted: energy **2.00 Wh** (1.00–3.00 Wh)"
    assert summary(Prediction(basis="", runs_used=[])) == ""


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (1.25, "km", "1.25 km"),
        (0.085, "km", "85.0 m"),
        (0.00005, "km", "5.00 cm"),
        (0.0, "km", "0 m"),
        (2.5, "charges", "2.50"),
        (0.17, "charges", "17.0 % of one"),
    ],
)
def test_equivalents_read_in_sizes_people_know(amount: float, unit: str, text: str) -> None:
    found = equivalent_text(Equivalent(name="n", amount=amount, unit=unit, source="s"))
    assert found.replace(NBSP, " ") == text


def test_a_difference_is_in_per_cent_up_to_twice_as_much() -> None:
    assert change_text(0.8, 1.0) == "-20 %"
    assert change_text(1.5, 1.0) == "+50 %"
    assert change_text(2.75, 1.0) == "2.75 × as much"
    assert change_text(5000, 1.0) == "5\u2009000 × as much"
    assert change_text(None, 1.0) is change_text(1.0, None) is change_text(1.0, 0.0) is None


def test_the_figure_by_source_stacks_the_sources_and_the_building() -> None:
    epochs = [epoch(1, energy_kwh=6.0, energy_by_source={"cpu": 1.0, "gpu:0": 3.0}), epoch(2)]
    points = [PowerPoint(at=NOON, power_w={"cpu": 10.0})]
    figures, lacking = energy_figures("r", epochs, points, pue=1.5, zone=UTC, is_simulated=False)
    by_source, power = map(json.loads, figures)
    assert lacking == []
    assert by_source["layout"]["barmode"] == "stack"
    assert {trace["name"]: trace["y"] for trace in by_source["data"]} == {
        "CPU": [1.0, None],
        "gpu:0": [3.0, None],
        "building (PUE)": [2.0, None],
    }
    assert power["data"][0]["x"] == ["2026-03-01T12:00:00"]


def test_an_epoch_of_which_a_source_is_unknown_is_a_gap_by_source_and_is_counted() -> None:
    whole = epoch(1, energy_kwh=4.0, energy_by_source={"cpu": 1.0, "gpu:0": 3.0})
    partial = epoch(2, energy_by_source={"cpu": 1.0})
    figures, lacking = energy_figures("r", [whole, partial], [], pue=1.5, zone=UTC, is_simulated=False)
    assert {tuple(trace["y"]) for trace in json.loads(figures[0])["data"]} == {
        (1, None),
        (3, None),
        (2, None),
    }
    assert lacking[0] == "Energy by source: one epoch left out, of which the energy of a source is unknown."
    figures, lacking = energy_figures("r", [partial, partial], [], pue=1.0, zone=UTC, is_simulated=False)
    assert figures == []
    assert lacking[0].startswith("Energy by source: 2 epochs left out")


def test_what_was_not_recorded_is_said_in_a_sentence_instead() -> None:
    figures, lacking = energy_figures("r", [epoch(1)], [], pue=1.0, zone=UTC, is_simulated=False)
    assert figures == []
    assert [sentence.split(":")[0] for sentence in lacking] == ["Energy by source", "Power over time"]
    assert energy_figures("r", [epoch(1)], [], pue=1.0, zone=UTC, is_simulated=True) == ([], [])


def test_every_source_has_a_colour_of_its_own() -> None:
    sources = (*SOURCE_NAMES, "gpu:0", "gpu:1", "gpu:2")
    assert len({source_color(source) for source in sources}) == len(sources)


def test_a_total_of_which_nothing_is_known_is_a_gap_and_not_zero() -> None:
    known = Cost(energy_kwh=1.0, co2_g=2.0, duration_s=3.0, epochs=1)
    unknown = Cost(epochs=2, unknown_energy_epochs=2, unknown_co2_epochs=2)
    both = add_up([known, unknown])
    assert (both.energy_kwh, both.unknown_energy_epochs, both.epochs) == (1.0, 2, 3)
    assert add_up([unknown]).energy_kwh is None
    totals = [
        Total(name=day, real=cost, simulated=Cost(), equivalents=[])
        for day, cost in (("2026-03-01", known), ("2026-03-02", unknown))
    ]
    assert json.loads(totals_figures(totals)[0])["data"][0]["y"] == [1.0, None]
    assert unknown_note(2, "energy").startswith("Without 2 epochs of unknown energy")
