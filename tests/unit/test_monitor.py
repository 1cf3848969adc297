from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.core.watch import Update
from carbon_aware_trainer.errors import (
    BasesMixed,
    CarbonError,
    IntensityUnavailable,
    NoFeasibleStart,
    UnknownZone,
)
from carbon_aware_trainer.providers import Patience, Provider, open_provider, write_sample
from carbon_aware_trainer.traces import Forecast, Trace
from tests.carbon_parts import write_grid
from tests.provider_parts import HOUR, Answers, opened
from tests.unit.test_cached_provider import as_json, entries

NOW = datetime(2026, 6, 1, 12, 20, tzinfo=UTC)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def monitor(path: Path, *regions: str, **options: Any) -> CarbonMonitor:
    return CarbonMonitor(
        regions=list(regions), carbon_model="cached", api_key=str(path), now=lambda: NOW, **options
    )


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "carbon.json", ["US-CA", "DE"], days=20, now=NOW)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    values = [300.0 - 100 * (10 <= (12 + i) % 24 <= 14) for i in range(24 * 20 + 12)]
    return as_json(tmp_path / "recorded.json", entries(NOON - timedelta(days=20), values))


def test_the_intensity_is_that_of_the_first_region_unless_another_is_named(sample: Path) -> None:
    watched = monitor(sample, "US-CA", "DE")
    assert watched.get_current_intensity().zone == "US-CA"
    assert asyncio.run(watched.aget_current_intensity("DE")).zone == "DE"


def test_the_providers_own_forecast_is_taken_where_it_has_one(sample: Path) -> None:
    assert monitor(sample, "DE").get_forecast("DE", hours=24).method == "of the file"
    assert asyncio.run(monitor(sample, "DE").aget_forecast("DE", hours=24)).end == NOON + 25 * HOUR


def test_else_one_is_made_of_the_history(recorded: Path) -> None:
    for forecast in (
        monitor(recorded, "US-CA").get_forecast("US-CA", hours=24),
        asyncio.run(monitor(recorded, "US-CA").aget_forecast("US-CA", hours=24)),
    ):
        assert (forecast.start, forecast.provider) == (NOON, "cached")
        assert len(forecast.g_per_kwh) == 25
        # clean from 10 to 15 h every day
        np.testing.assert_allclose(forecast.g_per_kwh[[0, 2, 3, 21, 22]], [200, 200, 300, 300, 200], atol=15)


def test_a_forecaster_may_be_given(recorded: Path) -> None:
    asked: list[tuple[Trace, datetime, timedelta]] = []

    def forecaster(history: Trace, at: datetime, horizon: timedelta) -> Forecast:
        asked.append((history, at, horizon))
        flat = np.full(2, 7.0)
        return Forecast("US-CA", "mine", history.basis, at, NOON, HOUR, flat, flat, flat, "flat")

    assert monitor(recorded, "US-CA", forecaster=forecaster).get_forecast(hours=2).provider == "mine"
    history, at, horizon = asked[0]
    assert (history.end, at, horizon) == (NOON + HOUR, NOW, 2 * HOUR)


def test_a_key_without_long_histories_still_gets_a_forecast_of_its_last_day() -> None:
    day = [{"carbonIntensity": 100 + i, "datetime": (NOON - i * HOUR).isoformat()} for i in range(24)]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/history"):
            return httpx.Response(200, json={"zone": "DE", "history": day})
        return httpx.Response(403)

    provider = open_provider(
        "electricitymaps", api_key="k", transport=httpx.MockTransport(answer), now=lambda: NOW
    )
    watched = CarbonMonitor(["DE"], provider=provider, now=lambda: NOW)
    assert watched.get_forecast("DE").provider == "electricitymaps"
    assert asyncio.run(watched.aget_forecast("DE")).g_per_kwh[0] == 100


def test_the_best_window_is_over_all_regions_and_below_the_maximum(tmp_path: Path) -> None:
    paths = {
        "DE": entries(NOON, [300, 300, 100, 100, 300]),
        "US-CA": entries(NOON, [250, 250, 250, 150, 250]),
    }
    file = tmp_path / "carbon.json"

    regions = {zone: {"historical": ahead[:1], "forecast": ahead} for zone, ahead in paths.items()}
    file.write_text(json.dumps({"regions": regions}))
    watched = monitor(file, "DE", "US-CA")
    found = watched.find_optimal_window(2, 120)
    assert found is not None
    assert (found.region, found.window.start) == ("DE", NOON + 2 * HOUR)
    assert found.plan.g_per_kwh == pytest.approx(100)
    assert asyncio.run(watched.afind_optimal_window(duration_hours=2)) == found
    assert watched.find_optimal_window(2, max_carbon_intensity=99) is None
    with pytest.raises(NoFeasibleStart):
        watched.find_optimal_window(2, within_hours=1)
    with pytest.raises(IntensityUnavailable, match=r"DE: The forecast ends .* US-CA: The forecast ends"):
        watched.find_optimal_window(6)


def test_of_one_figure_for_a_year_no_forecast_is_made() -> None:
    watched = CarbonMonitor(["DE"])
    with pytest.raises(IntensityUnavailable, match="same intensity of DE for every hour"):
        watched.find_optimal_window(2)
    with pytest.raises(IntensityUnavailable, match="same intensity"):
        asyncio.run(watched.afind_optimal_window(2))


def test_of_one_figure_a_day_no_forecast_is_made_and_it_says_what_is_needed(tmp_path: Path) -> None:
    days: list[float | None] = [100.0 if hour % 48 == 12 else 200.0 for hour in range(24 * 40)]
    path = write_grid(
        tmp_path / "days.json",
        [value if hour % 24 == 12 else None for hour, value in enumerate(days)],
        start=NOW - 40 * 24 * HOUR,
    )
    watched = monitor(Path(path), "US-CA")
    with pytest.raises(IntensityUnavailable, match="of US-CA every 24 h; a forecast needs one an hour"):
        watched.get_forecast()
    with pytest.raises(IntensityUnavailable, match="every 24 h"):
        asyncio.run(watched.aget_forecast())


def test_a_region_without_a_forecast_is_left_out(tmp_path: Path) -> None:
    provider = _Broken(open_provider("cached", api_key=str(_two(tmp_path)), now=lambda: NOW), "DE")
    watched = CarbonMonitor(["DE", "US-CA"], provider=provider, now=lambda: NOW)
    found = watched.find_optimal_window(1)
    assert found is not None
    assert found.region == "US-CA"


def test_regions_on_two_bases_are_not_compared(tmp_path: Path) -> None:
    provider = _Broken(open_provider("cached", api_key=str(_two(tmp_path)), now=lambda: NOW), "")
    provider.changed = "US-CA"
    with pytest.raises(BasesMixed):
        CarbonMonitor(["DE", "US-CA"], provider=provider, now=lambda: NOW).find_optimal_window(1)


def _two(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "two.json", ["DE", "US-CA"], days=2, now=NOW)


class _Broken:
    """A provider that fails for one zone, and is on another basis for another."""

    changed = ""

    def __init__(self, provider: Provider, broken: str) -> None:
        self.provider, self.broken = provider, broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self.provider, name)

    def fetch_forecast(self, zone: str, horizon: timedelta = 96 * HOUR) -> Forecast:
        if zone == self.broken:
            raise IntensityUnavailable("Broken.")
        found = self.provider.fetch_forecast(zone, horizon)
        return replace(found, basis="marginal direct") if zone == self.changed else found

    def fetch_latest(self, zone: str) -> Any:
        if zone == self.broken:
            raise IntensityUnavailable("Broken.")
        return self.provider.fetch_latest(zone)


def test_callbacks_hear_of_every_look_and_of_failures(sample: Path, caplog: pytest.LogCaptureFixture) -> None:
    provider = _Broken(open_provider("cached", api_key=str(sample), now=lambda: NOW), "DE")
    watched = CarbonMonitor(["US-CA", "DE"], provider=provider, now=lambda: NOW)
    heard: list[Update] = []
    heard_later: list[Update] = []

    async def later(update: Update) -> None:
        await asyncio.sleep(0)
        heard_later.append(update)

    def bad(_update: Update) -> None:
        raise ZeroDivisionError

    for callback in (bad, heard.append, later):
        watched.add_callback(callback)
    assert watched.latest == {}
    watched.update()
    assert [(update.region, update.error) for update in heard] == [("US-CA", None), ("DE", "Broken.")]
    assert heard_later == heard
    assert watched.latest["US-CA"].intensity is not None
    assert "a callback for region=US-CA failed" in caplog.text
    assert "no intensity region=DE: Broken." in caplog.text


@pytest.mark.parametrize(
    ("make", "model"),
    [
        (lambda: CarbonMonitor(regions=["US-CA", "DE"], update_interval=300), "static"),
        (lambda: CarbonMonitor(regions=["GB", "GB-LONDON"]), "uk"),
        (lambda: CarbonMonitor(regions=["DE"], api_key="k"), "electricitymaps"),
        (lambda: CarbonMonitor(regions=["DE"], carbon_model="static"), "static"),
    ],
)
def test_without_a_model_the_one_that_fits_is_taken(make: Callable[[], CarbonMonitor], model: str) -> None:
    assert make().provider.name == model


def test_what_makes_no_sense_is_refused(sample: Path) -> None:
    with pytest.raises(CarbonError, match="as a list"):
        monitor(sample)
    with pytest.raises(CarbonError, match="as a list"):
        CarbonMonitor("US-CA")
    with pytest.raises(CarbonError, match="update_interval above 0"):
        monitor(sample, "DE", update_interval=0)
    with pytest.raises(UnknownZone):
        monitor(sample, "FR")


def test_a_provider_that_is_down_raises_and_is_not_papered_over() -> None:
    provider = opened("uk", Answers(httpx.Response(500)), patience=Patience(attempts=1))
    with pytest.raises(IntensityUnavailable, match="500"):
        CarbonMonitor(["GB"], provider=provider).get_current_intensity()
