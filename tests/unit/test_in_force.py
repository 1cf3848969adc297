"""What energy is charged with: what is recorded of a worker's zone, else the year's average, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest

from carbon_aware_trainer.accounting import Span, co2_of
from carbon_aware_trainer.records import Basis, Intensity
from carbon_aware_trainer.traces import HOUR, Trace
from scheduling import InForce, Intensities, yearly_intensity
from scheduling.in_force import held
from schema import Run, Scalar, Status
from settings import Settings
from tests.planning import NOW
from work.charges import Charges

NAN = float("nan")
YEARLY = Intensity("DEU", 381.0, "static", "yearly average of generation, life cycle", 2023, "a test")


class Recorded:
    """A store of what was recorded of DE from NOW on; ``looks`` counts how often it is read."""

    stale_after = 3 * HOUR

    def __init__(
        self, *g_per_kwh: float, basis: Basis = "average lifecycle", name: str = "electricitymaps"
    ) -> None:
        self.name, self.basis, self.values = name, basis, g_per_kwh
        self.looks = 0

    def find_trace(self, zone: str, start: datetime, end: datetime) -> Trace | None:
        self.looks += 1
        if not self.values or zone != "DE":
            return None
        values = np.array(self.values, dtype=np.float64)
        known = Trace(zone, self.name, self.basis, NOW, HOUR, values).between(start, end)
        return known if len(known.g_per_kwh) else None


class StoodInFor(Recorded):
    """The same, but who was asked last is the yearly average that stands in for it."""

    def find_trace(self, zone: str, start: datetime, end: datetime) -> Trace | None:  # noqa: ARG002 - at its end
        at = end.replace(minute=0, second=0, microsecond=0)
        return Trace(zone, "static", "average lifecycle", at, HOUR, np.array([381.0]))

    def find_trace_of(self, provider: str, zone: str, start: datetime, end: datetime) -> Trace | None:
        return super().find_trace(zone, start, end) if provider == self.name else None


def in_force(recorded: Recorded, *, at_h: float, zone: str = "DE") -> InForce:
    grid = InForce(cast("Intensities", recorded), zone, YEARLY)
    grid.refresh(NOW + at_h * HOUR)
    return grid


def over(grid: InForce, start_h: float, end_h: float) -> float:
    return grid.over(NOW + start_h * HOUR, NOW + end_h * HOUR).g_per_kwh


def test_a_span_is_charged_with_the_mean_of_its_hours_by_time() -> None:
    grid = in_force(Recorded(100, 200, 300), at_h=2.5)
    assert over(grid, 0.5, 2.25) == pytest.approx((0.5 * 100 + 200 + 0.25 * 300) / 1.75, rel=1e-5)
    found = grid.over(NOW, NOW + HOUR)
    assert (found.zone, found.provider, found.kind, grid.reason) == (
        *("DE", "electricitymaps", "average lifecycle"),
        None,
    )


def test_it_is_what_the_outcome_of_the_run_charges() -> None:
    recorded = Recorded(100, 200, NAN, 400)
    grid = in_force(recorded, at_h=3.5)
    trace = recorded.find_trace("DE", NOW, NOW + 5 * HOUR)
    assert trace is not None
    span = Span(NOW + 0.4 * HOUR, NOW + 3.4 * HOUR, 2.0)
    charged = co2_of(span, held(trace, recorded.stale_after).as_series()).co2_g
    assert 2.0 * grid.over(span.start, span.end).g_per_kwh == pytest.approx(charged, rel=1e-5)


def test_a_value_counts_until_the_next_one_and_three_hours_at_most() -> None:
    grid = in_force(Recorded(100, 200), at_h=1.5)
    assert over(grid, 4.0, 5.0) == 200
    assert over(grid, 4.5, 5.5) == YEARLY.g_per_kwh
    assert "nothing is recorded of DE for a part" in (grid.reason or "")
    assert over(grid, 1.0, 2.0) == 200
    assert grid.reason is None


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        (Recorded(), "nothing is recorded of DE yet"),
        (Recorded(500, basis="marginal lifecycle", name="watttime"), "are marginal lifecycle"),
        (Recorded(500, basis="average direct", name="uk"), "are average direct"),
    ],
    ids=["nothing", "marginal", "direct"],
)
def test_what_is_unknown_or_on_another_basis_is_charged_with_the_year_and_says_why(
    recorded: Recorded, why: str
) -> None:
    grid = in_force(recorded, at_h=0.5)
    assert grid.over(NOW, NOW + HOUR / 2) is YEARLY
    assert why in (grid.reason or "")


def test_recorded_hours_are_charged_as_they_are_though_a_yearly_average_answers_now() -> None:
    grid = in_force(StoodInFor(100, 200), at_h=2.5)
    assert over(grid, 0.0, 2.0) == 150
    assert grid.reason is None
    assert over(grid, 2.0, 2.5) == 200  # for as long as plans count with it
    late = in_force(StoodInFor(100, 200), at_h=6.0)
    assert over(late, 5.5, 6.0) == YEARLY.g_per_kwh
    assert "electricitymaps gives no answer, and its fallback has no other figure" in (late.reason or "")
    assert over(late, 0.0, 2.0) == 150


def test_an_attempt_of_a_week_is_charged_with_all_of_its_hours() -> None:
    grid = InForce(cast("Intensities", Recorded(*[100.0] * 84, *[300.0] * 84)), "DE", YEARLY)
    grid.keep_from(NOW)
    grid.refresh(NOW + 167.5 * HOUR)
    assert over(grid, 0, 168) == 200
    assert grid.reason is None


def test_a_yearly_provider_is_never_read_and_is_no_excuse() -> None:
    recorded = Recorded(500, name="static")
    grid = in_force(recorded, at_h=0.5)
    assert grid.over(NOW, NOW + HOUR / 2) is YEARLY
    assert (grid.reason, recorded.looks) == (None, 0)


def test_the_store_is_read_once_in_a_slot_and_every_ten_seconds_for_one_that_is_late() -> None:
    recorded = Recorded(100, 200)
    grid = in_force(recorded, at_h=0.5)
    for second in range(60):
        grid.refresh(NOW + timedelta(hours=0.6, seconds=second))
    assert recorded.looks == 1
    for second in range(60):
        grid.refresh(NOW + timedelta(hours=2.1, seconds=second))
    assert 6 <= recorded.looks - 1 <= 7


def test_a_zone_is_known_under_all_its_names() -> None:
    assert in_force(Recorded(100), at_h=0.5, zone="DEU").over(NOW, NOW + HOUR / 2).g_per_kwh == 100


@pytest.mark.parametrize(
    ("wanted", "zone"),
    [
        ({"zone": "DE"}, "DEU"),
        ({"zone": "US-CA"}, "USA"),
        ({"zone": "MARS", "country": "FRA"}, "FRA"),
        ({}, "USA"),
    ],
)
def test_the_year_s_average_is_that_of_the_country_the_zone_is_in(wanted: Any, zone: str) -> None:
    assert yearly_intensity(Settings(_env_file=None, **wanted)).zone == zone


def run_with(**facts: Scalar) -> Run:
    return Run(
        run_id="r", hyper_params={}, status=Status.RUNNING, num_epochs=9, time_added=NOW, environment=facts
    )


class Told:
    """Charges of a run, and what was described and logged."""

    def __init__(self, grid: InForce, run: Run) -> None:
        self.facts: dict[str, Scalar] = {}
        self.lines: list[str] = []
        self.charges = Charges(grid, run, describe=self.facts.update, log=self.lines.append)

    def charge(self, *hours: float) -> Sequence[str | None]:
        found = [self.charges.over(NOW + hour * HOUR, NOW + (hour + 1) * HOUR) for hour in hours]
        return [self.charges.provider_of(each) for each in found]


def test_a_run_names_its_provider_once_and_its_parts_only_another_one() -> None:
    told = Told(in_force(Recorded(100, 200), at_h=1.5), run_with())
    assert told.charge(0, 1, 7, 8) == [None, None, "static", "static"]
    assert told.facts == {
        "intensity_provider": "electricitymaps",
        "intensity_basis": "average lifecycle",
        "intensity_source": "DE by the hour, life cycle (electricitymaps)",
        "intensity_zone": "DE",
        "intensity_others": "static",
    }
    (line,) = told.lines
    assert "CO2 is counted with the yearly average of DEU for now: nothing is recorded of DE" in line


def test_a_later_attempt_keeps_the_provider_of_the_run_and_adds_its_zone() -> None:
    before = {"intensity_provider": "electricitymaps", "intensity_zone": "FR", "intensity_others": "static"}
    told = Told(in_force(Recorded(100, 200), at_h=1.5), run_with(**before))
    assert told.charge(0, 1, 8) == [None, None, "static"]
    assert told.facts == {"intensity_zone": "FR, DE"}
