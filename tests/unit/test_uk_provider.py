from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from carbon_aware_trainer.errors import AnswerRefused, IntensityUnavailable, UnknownZone
from tests.provider_parts import HOUR, NOW, Answers, opened

HALF = timedelta(minutes=30)
START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


def text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"


def entry(at: datetime, actual: float | None, forecast: float | None = 266) -> dict[str, Any]:
    intensity = {"forecast": forecast, "actual": actual, "index": "moderate"}
    return {"from": text(at), "to": text(at + HALF), "intensity": intensity}


def regional(region: int, first: datetime, values: list[float]) -> dict[str, Any]:
    mix = [{"fuel": "wind", "perc": 40.0}, {"fuel": "gas", "perc": 60.0}]
    halves = [
        {
            "from": text(first + i * HALF), "to": text(first + (i + 1) * HALF),
            "intensity": {"forecast": value, "index": "low"}, "generationmix": mix,
        }
        for i, value in enumerate(values)
    ]  # fmt: skip
    return {"data": {"regionid": region, "shortname": "London", "data": halves}}


def test_the_actual_value_is_taken_and_else_the_forecast_which_is_estimated() -> None:
    answers = Answers({"data": [entry(START, 263)]})
    value = opened("uk", answers).fetch_latest("GB")
    assert (value.g_per_kwh, value.is_estimated, value.at) == (263.0, False, START)
    assert value.kind == "average direct"
    assert answers.urls == ["https://api.carbonintensity.org.uk/intensity"]
    value = opened("uk", Answers({"data": [entry(START, None)]})).fetch_latest("UK")
    assert (value.g_per_kwh, value.is_estimated) == (266.0, True)


def test_a_region_is_asked_by_its_number_and_checked() -> None:
    answers = Answers(regional(13, START, [50, 60]))
    assert opened("uk", answers).fetch_latest("GB-LONDON").g_per_kwh == 50
    assert answers.asked[0].url.path == "/regional/intensity/2026-03-29T00:30Z/fw24h/regionid/13"
    with pytest.raises(AnswerRefused, match="about region 12, not 13"):
        opened("uk", Answers(regional(12, START, [50]))).fetch_latest("GB-LONDON")


def test_a_forecast_is_half_hourly_from_the_half_hour_in_force_on() -> None:
    answers = Answers({"data": [entry(START + i * HALF, None, 100 + i) for i in range(-1, 96)]})
    forecast = opened("uk", answers).fetch_forecast("GB", 24 * HOUR)
    assert answers.asked[0].url.path == "/intensity/2026-03-29T00:30Z/fw48h"
    assert (forecast.start, forecast.step) == (START, HALF)
    assert forecast.g_per_kwh[0] == 100
    assert forecast.end == NOW.replace(minute=0) + timedelta(hours=25)


def test_history_is_asked_a_fortnight_at_a_time_without_the_half_hour_before() -> None:
    def answer(request: httpx.Request) -> dict[str, Any]:
        start, end = (datetime.fromisoformat(part) for part in request.url.path.split("/")[-2:])
        assert end - start <= timedelta(days=14)
        count = round((end - start) / HALF)
        return {"data": [entry(start + i * HALF, 200) for i in range(-1, count)]}

    start = datetime(2026, 2, 20, tzinfo=UTC)
    trace = opened("uk", Answers(answer)).fetch_history("GB", start, NOW)
    assert trace.start == start
    assert trace.end == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert not np.isnan(trace.g_per_kwh).any()


def test_a_half_hour_that_is_missing_is_a_gap() -> None:
    body = {"data": [entry(START - 4 * HALF, 1), entry(START - 3 * HALF, None, None), entry(START - HALF, 4)]}
    trace = opened("uk", Answers(body)).fetch_history("GB", START - 4 * HALF, START)
    np.testing.assert_array_equal(trace.g_per_kwh, [1, np.nan, np.nan, 4])


def test_the_mix_has_its_renewable_share() -> None:
    fuels = [{"fuel": "wind", "perc": 40.0}, {"fuel": "solar", "perc": 10.0}, {"fuel": "gas", "perc": 50.0}]
    body = {"data": {"from": text(START), "to": text(START + HALF), "generationmix": fuels}}
    mix = opened("uk", Answers(body)).fetch_mix("GB")
    assert mix.renewable_share == pytest.approx(0.5)
    assert mix.shares["gas"] == 0.5
    listed = {"data": [regional(13, START, [50])["data"]]}
    assert opened("uk", Answers(listed)).fetch_mix("GB-LONDON").renewable_share == pytest.approx(0.4)


@pytest.mark.parametrize(
    "body", [None, [], {"data": None}, {"data": [{}]}, {"data": {"regionid": 3}}, {"data": []}]
)
@pytest.mark.parametrize("zone", ["GB", "GB-LONDON"])
def test_an_answer_in_another_form_is_refused(body: object, zone: str) -> None:
    provider = opened("uk", Answers(httpx.Response(200, json=body)))
    for ask in (
        lambda: provider.fetch_latest(zone),
        lambda: provider.fetch_forecast(zone),
        lambda: provider.fetch_mix(zone),
        lambda: provider.fetch_history(zone, START - HOUR, START),
    ):
        with pytest.raises(IntensityUnavailable):
            ask()


def test_an_error_of_the_api_says_what_to_do() -> None:
    body = {"error": {"code": "400 Bad Request", "message": "Please enter a valid date"}}
    with pytest.raises(AnswerRefused, match="did not understand the question"):
        opened("uk", Answers(httpx.Response(400, json=body))).fetch_latest("GB")


def test_other_countries_are_unknown_there() -> None:
    with pytest.raises(UnknownZone, match="uk has no data of DE"):
        opened("uk", Answers({}), region="DE")
