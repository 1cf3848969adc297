"""What a worker adds to what its training child tells it."""

from __future__ import annotations

from datetime import datetime

import pytest

from carbon_aware_trainer.records import Intensity, Reading
from schema import EpochResult, ExtraCost
from work.messages import Spent
from work.metering import cost_of
from work.rest import Rest

INTENSITY = Intensity("USA", 400.0, "static", "average", 2023, "a test")


class Usa:
    """Charges with one figure."""

    def over(self, start: datetime, end: datetime) -> Intensity:  # noqa: ARG002 - the same at all times
        return INTENSITY

    def provider_of(self, intensity: Intensity) -> str | None:  # noqa: ARG002 - the run's own
        return None


CHARGES = Usa()
S = 10**9


class SteadyMeter:
    """A meter of a load of 360 W, read for its first 100 s."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        span_s = (end_ns - start_ns) / S
        if end_ns > 100 * S:
            return Reading(span_s, reason="The meter was not running.")
        return Reading(span_s, energy_j=360 * span_s, quality="measured")


def test_the_cost_of_a_span_has_energy_and_co2() -> None:
    cost = cost_of(Spent(name="compile", span_ns=(5 * S, 15 * S)), SteadyMeter(), CHARGES, attempt=2)
    assert [cost.energy_kwh, cost.co2_g] == pytest.approx([0.001, 0.4])
    assert (cost.name, cost.attempt, cost.energy_quality) == ("compile", 2, "measured")
    assert (cost.span_s, cost.duration_s, cost.intensity_g_per_kwh) == (10, 10, 400)


def test_the_energy_of_the_building_is_that_of_the_meter_times_its_pue() -> None:
    cost = cost_of(Spent(name="compile", span_ns=(0, 10 * S)), SteadyMeter(), CHARGES, attempt=1, pue=1.5)
    assert [cost.energy_kwh, cost.co2_g] == pytest.approx([0.0015, 0.6])


def test_what_no_meter_read_is_unknown_with_the_reason() -> None:
    cost = cost_of(Spent(name="compile", span_ns=(90 * S, 101 * S)), SteadyMeter(), CHARGES, attempt=1)
    assert (cost.energy_kwh, cost.co2_g, cost.energy_quality) == (None, None, None)
    assert cost.energy_reason == "The meter was not running."


def an_epoch(
    energy_kwh: float | None, *, duration_s: float = 30.0, resumed_after_s: float = 0.0
) -> EpochResult:
    return EpochResult(
        epoch=1, train_loss=1, train_accuracy=0.5, test_loss=1, test_accuracy=0.5, duration_s=duration_s,
        resumed_after_s=resumed_after_s or None, energy_kwh=energy_kwh,
    )  # fmt: skip


def rest_of(rest: Rest, end_s: int, pue: float = 1.0) -> ExtraCost | None:
    return rest.cost(end_s * S, SteadyMeter(), CHARGES, attempt=3, pue=pue)


def test_the_rest_of_an_attempt_is_all_of_it_less_what_is_recorded_by_itself() -> None:
    rest = Rest(10 * S)
    rest.note_epoch(an_epoch(0.003))
    rest.note_epoch(an_epoch(0.001, resumed_after_s=20.0))  # 10 s of it were this attempt's
    rest.note_extra(
        cost_of(Spent(name="compile", span_ns=(10 * S, 15 * S)), SteadyMeter(), CHARGES, attempt=3)
    )
    left = rest_of(rest, 60)  # 50 s at 0.1 Wh a second
    assert left is not None
    assert (left.name, left.attempt, left.duration_s) == ("rest", 3, 0)
    assert [left.energy_kwh, left.co2_g, left.span_s] == pytest.approx([0.0005, 0.2, 5.0])


def test_the_rest_is_of_the_building_too() -> None:
    rest = Rest(0)
    rest.note_epoch(an_epoch(0.006))
    left = rest_of(rest, 60, pue=1.5)
    assert left is not None
    assert [left.energy_kwh, left.co2_g] == pytest.approx([0.003, 1.2])


def test_parts_that_are_a_hair_more_than_the_whole_leave_nothing() -> None:
    rest = Rest(0)
    rest.note_epoch(an_epoch(0.0061, duration_s=61.0))
    left = rest_of(rest, 60)
    assert left is not None
    assert (left.energy_kwh, left.co2_g, left.span_s) == (0, 0, 0)


def test_there_is_no_rest_of_what_is_partly_unknown() -> None:
    rest = Rest(0)
    rest.note_epoch(an_epoch(0.003))
    rest.note_epoch(an_epoch(None))
    rest.note_epoch(an_epoch(0.003))
    assert rest_of(rest, 90) is None


def test_a_rest_that_no_meter_read_is_unknown_with_the_reason() -> None:
    left = rest_of(Rest(0), 101)
    assert left is not None
    assert (left.energy_kwh, left.co2_g, left.energy_reason) == (None, None, "The meter was not running.")
