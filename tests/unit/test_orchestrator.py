from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.core.orchestrator import MultiRegionOrchestrator
from carbon_aware_trainer.errors import CarbonError, IntensityUnavailable, NoFeasibleStart, UnknownZone
from tests.carbon_parts import HOUR, START


def orchestrator(path: Path, **regions: list[float]) -> MultiRegionOrchestrator:
    def entries(values: list[float]) -> list[dict[str, Any]]:
        return [
            {"timestamp": (START + i * HOUR).isoformat(), "carbon_intensity": value}
            for i, value in enumerate(values)
        ]

    known = {name: {"historical": [], "forecast": entries(values)} for name, values in regions.items()}
    (path / "grid.json").write_text(json.dumps({"regions": known}))
    monitor = CarbonMonitor(
        list(regions), carbon_model="cached", api_key=str(path / "grid.json"), now=lambda: START
    )
    return MultiRegionOrchestrator(list(regions), monitor=monitor)


def place(asked: MultiRegionOrchestrator, hours: float = 2.0, within: float = 6.0, **options: Any) -> Any:
    return asked.optimize_placement(hours, START + within * HOUR, now=START, **options)


def test_the_cleanest_region_and_window_is_chosen(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[300.0] * 6, FR=[200.0, 200.0, 50.0, 50.0, 200.0, 200.0])
    placement = place(asked, energy_kwh=4.0)
    assert (placement.region, placement.start) == ("FR", START + 2 * HOUR)
    assert (placement.co2_g, placement.run_now_co2_g, placement.saved_g) == (200.0, 1200.0, 1000.0)
    assert [each.region for each in placement.candidates] == ["FR", "DE"]
    assert placement.reason == "50 g/kWh are forecast in FR, 300 g/kWh at best in DE."


def test_event_loops_get_the_same(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[300.0] * 6, FR=[200.0] * 6)
    found = asyncio.run(asked.aoptimize_placement(2.0, START + 6 * HOUR, now=START))
    assert found == place(asked)


def test_a_tie_stays_at_home_whatever_the_order(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[300.0] * 6, FR=[300.0] * 6)
    assert place(asked).region == "DE"
    assert place(asked, home="FR").region == "FR"


def test_a_move_that_costs_more_than_it_saves_is_not_made(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[300.0] * 6, FR=[200.0] * 6)
    assert place(asked, energy_kwh=1.0, move_kwh=0.4).region == "FR"
    stays = place(asked, energy_kwh=1.0, move_kwh=0.6)
    assert (stays.region, stays.co2_g) == ("DE", 300.0)
    assert "the move included" in stays.reason
    assert stays.candidates[1].move_co2_g == pytest.approx(120.0)


def test_an_interruptible_job_is_split_where_that_is_cleaner(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[50.0, 300.0, 50.0, 300.0, 300.0, 300.0])
    assert place(asked).plan.g_per_kwh == 175.0
    assert place(asked, interruptible=True).plan.g_per_kwh == 50.0


def test_a_region_without_a_forecast_is_left_out_and_named(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[300.0], FR=[200.0] * 6)
    placement = place(asked, energy_kwh=1.0)
    assert placement.region == "FR"
    assert "before the work could" in placement.left_out["DE"]
    assert placement.run_now_co2_g is None
    assert placement.reason == "FR is the cleanest; nothing is forecast for DE."


def test_without_any_forecast_it_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(IntensityUnavailable, match="DE: The forecast ends at"):
        place(orchestrator(tmp_path, DE=[300.0]))


@pytest.mark.parametrize(
    ("hours", "deadline", "options", "error"),
    [
        (2.0, START + HOUR, {}, NoFeasibleStart),
        (0.0, START + HOUR, {}, CarbonError),
        (2.0, START.replace(tzinfo=None), {}, CarbonError),
        (2.0, None, {"home": "GB"}, CarbonError),
        (2.0, None, {"move_kwh": 1.0}, CarbonError),
    ],
)
def test_what_cannot_be_placed_is_refused(
    tmp_path: Path, hours: float, deadline: datetime | None, options: Any, error: type[CarbonError]
) -> None:
    with pytest.raises(error):
        orchestrator(tmp_path, DE=[300.0] * 30).optimize_placement(hours, deadline, now=START, **options)


def test_by_default_a_day_may_pass(tmp_path: Path) -> None:
    asked = orchestrator(tmp_path, DE=[300.0] * 24 + [10.0, 10.0, 1.0, 1.0])
    assert asked.optimize_placement(2.0, now=START).start == START + timedelta(hours=24)


def test_an_unknown_region_is_said_at_once(tmp_path: Path) -> None:
    monitor = orchestrator(tmp_path, DE=[1.0]).monitor
    with pytest.raises(UnknownZone):
        MultiRegionOrchestrator(["DE", "FR"], monitor=monitor)
