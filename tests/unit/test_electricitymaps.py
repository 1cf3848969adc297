from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from carbon_aware_trainer.errors import (
    AnswerRefused,
    BasesMixed,
    ForecastUnavailable,
    IntensityUnavailable,
    KeyRefused,
    UnknownZone,
)
from carbon_aware_trainer.providers import open_provider
from tests.provider_parts import HOUR, NOW, TOKEN, Answers, Clock, opened

LATEST = {
    "zone": "DE", "carbonIntensity": 302, "datetime": "2026-03-29T00:00:00.000Z",
    "updatedAt": "2026-03-29T00:33:41.234Z", "emissionFactorType": "lifecycle",
    "isEstimated": True, "estimationMethod": "TIME_SLICER_AVERAGE",
}  # fmt: skip


def hours(first: datetime, values: list[float | None], key: str = "history") -> dict[str, Any]:
    entries = [
        {"carbonIntensity": value, "datetime": (first + i * HOUR).isoformat()}
        for i, value in enumerate(values)
    ]
    return {"zone": "DE", key: entries, "updatedAt": "2026-03-29T00:33:00Z"}


def test_the_hour_in_force_comes_with_provider_basis_and_times() -> None:
    answers = Answers(LATEST)
    value = opened("electricitymaps", answers).fetch_latest("DE")
    assert (value.zone, value.g_per_kwh, value.provider, value.kind) == (
        "DE", 302.0, "electricitymaps", "average lifecycle",
    )  # fmt: skip
    assert value.at == datetime(2026, 3, 29, tzinfo=UTC)
    assert value.updated_at == datetime(2026, 3, 29, 0, 33, 41, 234000, tzinfo=UTC)
    assert value.is_estimated is True
    request = answers.asked[0]
    assert request.url.path == "/v4/carbon-intensity/latest"
    assert dict(request.url.params) == {
        "zone": "DE", "disableCallerLookup": "true", "emissionFactorType": "lifecycle",
    }  # fmt: skip
    assert request.headers["auth-token"] == TOKEN
    assert TOKEN not in str(request.url)


def test_a_common_code_is_asked_under_the_providers_own() -> None:
    answers = Answers({**LATEST, "zone": "US-CAL-CISO"})
    assert opened("electricitymap", answers, api_key=TOKEN).fetch_latest("US-CA").zone == "US-CA"
    assert answers.asked[0].url.params["zone"] == "US-CAL-CISO"


def test_an_answer_about_another_zone_is_refused() -> None:
    with pytest.raises(AnswerRefused, match="answered about FR, not DE"):
        opened("electricitymaps", Answers({**LATEST, "zone": "FR"})).fetch_latest("DE")


def test_direct_factors_are_another_basis_and_are_checked() -> None:
    answers = Answers({**LATEST, "emissionFactorType": "direct"})
    provider = opened("electricitymaps", answers, basis="average direct")
    assert provider.fetch_latest("DE").kind == "average direct"
    assert answers.asked[0].url.params["emissionFactorType"] == "direct"
    with pytest.raises(AnswerRefused, match="direct emission factors"):
        opened("electricitymaps", answers).fetch_latest("DE")
    with pytest.raises(BasesMixed, match="none that is marginal direct"):
        opened("electricitymaps", answers, basis="marginal direct")


@pytest.mark.parametrize("value", [-1, 3001, 10**400, math.nan, math.inf, "302", True])
def test_a_value_that_cannot_be_true_is_refused(value: object) -> None:
    with pytest.raises(AnswerRefused, match="intensity"):
        opened("electricitymaps", Answers({**LATEST, "carbonIntensity": value})).fetch_latest("DE")


@pytest.mark.parametrize("value", [0, 3000])
def test_values_at_the_bounds_are_taken(value: float) -> None:
    latest = opened("electricitymaps", Answers({**LATEST, "carbonIntensity": value})).fetch_latest("DE")
    assert latest.g_per_kwh == value


def test_an_hour_without_a_value_is_said() -> None:
    with pytest.raises(AnswerRefused, match="no value of DE for now"):
        opened("electricitymaps", Answers({**LATEST, "carbonIntensity": None})).fetch_latest("DE")


def test_a_value_that_is_too_old_is_refused() -> None:
    clock = Clock(datetime(2026, 3, 29, 3, 1, tzinfo=UTC))
    with pytest.raises(AnswerRefused, match=r"3\.0 h ago; 3 h are allowed"):
        opened("electricitymaps", Answers(LATEST), clock=clock).fetch_latest("DE")
    assert opened(
        "electricitymaps", Answers(LATEST), clock=clock, stale_after=timedelta(hours=4)
    ).fetch_latest("DE")


def test_a_value_of_the_future_is_refused() -> None:
    clock = Clock(datetime(2026, 3, 28, 22, 59, tzinfo=UTC))
    with pytest.raises(AnswerRefused, match=r"which is to come. Check the clock"):
        opened("electricitymaps", Answers(LATEST), clock=clock).fetch_latest("DE")


@pytest.mark.parametrize("body", [{}, [], {"zone": "DE"}, {"zone": "DE", "history": [{}]}, None])
def test_an_answer_in_another_form_is_refused(body: object) -> None:
    provider = opened("electricitymaps", Answers(httpx.Response(200, json=body)))
    with pytest.raises(IntensityUnavailable):
        provider.fetch_latest("DE")
    with pytest.raises(IntensityUnavailable):
        provider.fetch_history("DE", NOW - 5 * HOUR, NOW)
    with pytest.raises(IntensityUnavailable):
        provider.fetch_forecast("DE")


def test_the_last_day_comes_from_the_route_of_every_key_with_its_gaps() -> None:
    first = datetime(2026, 3, 28, 12, tzinfo=UTC)
    answers = Answers(hours(first, [100, None, 300, 400]))
    trace = opened("electricitymaps", answers).fetch_history("DE", first, first + 4 * HOUR)
    assert answers.asked[0].url.path == "/v4/carbon-intensity/history"
    np.testing.assert_array_equal(trace.g_per_kwh, [100, np.nan, 300, 400])
    assert (trace.start, trace.step, trace.provider) == (first, HOUR, "electricitymaps")


def test_what_is_longer_ago_is_asked_ten_days_at_a_time() -> None:
    def answer(request: httpx.Request) -> dict[str, Any]:
        start, end = (datetime.fromisoformat(request.url.params[key]) for key in ("start", "end"))
        assert end - start <= timedelta(hours=240)
        return hours(start, [200.0] * round((end - start) / HOUR), key="data")

    answers, start = Answers(answer), NOW - timedelta(days=25)
    trace = opened("electricitymaps", answers).fetch_history("DE", start, NOW)
    assert trace.start == start + timedelta(minutes=20)
    assert len(trace.g_per_kwh) == 25 * 24
    assert not np.isnan(trace.g_per_kwh).any()
    assert 3 <= len(answers.asked) <= 4


def test_times_with_an_offset_become_utc_across_a_change_of_the_clocks() -> None:
    local = ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]
    body = {"zone": "DE", "forecast": [{"carbonIntensity": 1, "datetime": at} for at in local]}
    forecast = opened("electricitymaps", Answers(body)).fetch_forecast("DE", 3 * HOUR)
    assert forecast.start == datetime(2026, 3, 29, tzinfo=UTC)
    assert len(forecast.g_per_kwh) == 3


def test_a_forecast_begins_with_the_slot_in_force_and_ends_at_its_first_gap() -> None:
    body = hours(datetime(2026, 3, 28, 23, tzinfo=UTC), [1, 2, 3, None, 5], key="forecast")
    answers = Answers(body)
    forecast = opened("electricitymaps", answers).fetch_forecast("DE", 30 * HOUR)
    assert forecast.start == datetime(2026, 3, 29, tzinfo=UTC)
    assert forecast.made_at == NOW
    np.testing.assert_array_equal(forecast.g_per_kwh, [2, 3])
    assert np.isnan(forecast.low).all()
    assert answers.asked[0].url.params["horizonHours"] == "48"


def test_a_forecast_without_the_hour_in_force_is_none() -> None:
    body = hours(datetime(2026, 3, 29, 5, tzinfo=UTC), [1, 2], key="forecast")
    with pytest.raises(ForecastUnavailable, match="no forecast of DE that holds 2026-03-29 00:40"):
        opened("electricitymaps", Answers(body)).fetch_forecast("DE")


def test_a_key_without_forecasts_has_no_forecast_and_that_is_no_failure_of_the_key() -> None:
    with pytest.raises(ForecastUnavailable, match="One of its history can be made"):
        opened("electricitymaps", Answers(httpx.Response(403))).fetch_forecast("DE")


@pytest.mark.parametrize(
    ("status", "said"), [(401, "does not accept the key"), (403, "A free key has one zone")]
)
def test_a_refused_key_is_said_with_what_to_do(status: int, said: str) -> None:
    echo = httpx.Response(status, text=f"bad token {TOKEN}")
    with pytest.raises(KeyRefused, match=said) as caught:
        opened("electricitymaps", Answers(echo)).fetch_latest("DE")
    assert TOKEN not in str(caught.value)


def test_the_mix_comes_as_shares_with_the_renewable_one() -> None:
    body = {
        "zone": "DE", "datetime": "2026-03-29T00:00:00Z", "isEstimated": False, "renewablePercentage": 60,
        "powerConsumptionBreakdown": {"wind": 30000, "coal": 10000, "hydro discharge": -50, "oil": None},
    }  # fmt: skip
    mix = opened("electricitymaps", Answers(body)).fetch_mix("DE")
    assert mix.shares == {"wind": 0.75, "coal": 0.25}
    assert mix.renewable_share == 0.6


@pytest.mark.parametrize("key", [None, " ", "with\nbreak", "ключ"])
def test_a_key_that_is_none_is_refused_before_it_is_sent(key: str | None) -> None:
    with pytest.raises(KeyRefused) as caught:
        open_provider("electricitymaps", api_key=key)
    assert key is None or not key.strip() or key not in str(caught.value)


def test_an_unknown_zone_names_the_near_ones_when_it_is_opened() -> None:
    with pytest.raises(UnknownZone, match=r"Near ones: US-CA \(California ISO\)"):
        open_provider("electricitymaps", api_key=TOKEN, region="US-CAS")
