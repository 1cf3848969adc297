"""Windows of repeated trainings, with the clock and the meter as arguments."""

from __future__ import annotations

import pytest

from bench.joules import DATASETS_DIR, RECIPES, TARGETS, make_hyper_params, why_skipped
from bench.joules_windows import Outcome, RepeatedWindow, repeat, summarise
from carbon_aware_trainer.records import Reading
from tests.fake_hardware import FakeClock

REACHED, MISSED = Outcome(True, 5, 0.981), Outcome(False, 60, 0.97)


def window(joules: float | None, span_s: float, *outcomes: Outcome) -> RepeatedWindow:
    reason = None if joules is not None else "no meter"
    return RepeatedWindow(outcomes, Reading(span_s, joules, "estimated", reason))


def repeated(training_s: float, window_s: float) -> RepeatedWindow:
    clock = FakeClock()

    def train() -> Outcome:
        clock.advance(training_s)
        return REACHED

    def read(start_ns: int, end_ns: int) -> Reading:
        return Reading((end_ns - start_ns) / 1e9, 7.0 * (end_ns - start_ns) / 1e9, "estimated")

    return repeat(train, window_s, read, clock=clock)


@pytest.mark.parametrize(
    ("training_s", "trainings", "span_s"), [(7.0, 9, 63.0), (20.0, 3, 60.0), (61.0, 1, 61.0)]
)
def test_whole_trainings_are_repeated_until_the_window_is_long_enough(
    training_s: float, trainings: int, span_s: float
) -> None:
    window = repeated(training_s, 60)
    assert len(window.outcomes) == trainings
    assert window.reading.span_s == pytest.approx(span_s)
    assert window.seconds == pytest.approx(training_s)
    assert window.joules == pytest.approx(7 * training_s)


def test_a_window_of_no_length_still_trains_once() -> None:
    assert len(repeated(1.0, 0).outcomes) == 1


def test_the_figures_are_per_training_with_their_spread_over_seeds() -> None:
    figures = summarise([window(120.0, 60.0, *[REACHED] * 60), window(240.0, 62.0, *[REACHED] * 40)])
    assert (figures["joules"], figures["joules_range"]) == (4.0, [2.0, 6.0])
    assert figures["joules_stdev"] == pytest.approx(2.828)
    assert (figures["seconds"], figures["seconds_range"]) == (1.275, [1.0, 1.55])
    assert (figures["n"], figures["trainings"], figures["shortest_window_s"]) == (2, 100, 60.0)
    assert figures["quality"] == "estimated"
    assert "reason" not in figures


def test_a_seed_that_missed_the_target_leaves_no_mean_of_the_others() -> None:
    figures = summarise([window(120.0, 60.0, REACHED), window(240.0, 62.0, MISSED)])
    assert (figures["joules"], figures["seconds"]) == (None, None)
    assert figures["reason"] == "Seeds [1] did not reach the target."


def test_unknown_energy_is_null_with_the_meters_reason_and_the_seconds_stay() -> None:
    figures = summarise([window(None, 60.0, REACHED), window(240.0, 60.0, REACHED)])
    assert (figures["joules"], figures["reason"], figures["seconds"]) == (None, "no meter", 60.0)


def test_a_window_says_its_figures() -> None:
    assert str(window(120.0, 60.0, REACHED, REACHED)) == (
        "60.00 J, 30.000 s per training (98.10% after 5 epochs; 2 trainings in 60.0 s)"
    )
    assert "MISSED" in str(window(120.0, 60.0, MISSED))
    assert str(window(None, 60.0, REACHED)).startswith("unknown (no meter), 60.000 s")


def test_every_target_has_a_recipe_that_the_product_accepts() -> None:
    assert RECIPES.keys() == TARGETS.keys()
    for dataset in TARGETS:
        assert make_hyper_params(dataset, seed=3).seed == 3


def test_what_cannot_be_measured_here_is_skipped_with_the_reason() -> None:
    assert why_skipped("digits", "cpu") is None
    assert "takes a GPU" in (why_skipped("cifar10", "cpu") or "")
    if not (DATASETS_DIR / "MNIST").exists():
        assert "its files are not in" in (why_skipped("mnist", "cpu") or "")
