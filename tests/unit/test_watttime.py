from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from carbon_aware_trainer.errors import AnswerRefused, KeyRefused, MixUnavailable, ProviderDown
from carbon_aware_trainer.providers import Patience
from tests.provider_parts import HOUR, LOGIN, NOW, Answers, Clock, opened

FIVE = timedelta(minutes=5)


def data(first: datetime, values: Sequence[float | None], **meta: Any) -> dict[str, Any]:
    return {
        "data": [
            {"point_time": (first + i * FIVE).isoformat(), "value": value} for i, value in enumerate(values)
        ],
        "meta": {
            "data_point_period_seconds": 300, "region": "CAISO_NORTH", "signal_type": "co2_moer",
            "units": "lbs_co2_per_mwh", "generated_at": "2026-03-29T00:40:00+00:00", **meta,
        },
    }  # fmt: skip


class Api:
    """Logs in with tokens numbered from 1, of which only the last is good."""

    def __init__(self, body: Any) -> None:
        self.body, self.tokens, self.revoked = body, 0, 0
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/login":
            self.tokens += 1
            return httpx.Response(200, json={"token": f"token-{self.tokens}"})
        if request.headers["authorization"] != f"Bearer token-{self.tokens}" or self.revoked:
            self.revoked = 0
            return httpx.Response(401)
        return httpx.Response(200, json=self.body(request) if callable(self.body) else self.body)


def test_pounds_per_mwh_become_grams_per_kwh_on_the_marginal_basis() -> None:
    api = Api(data(NOW, [1000.0]))
    value = opened("watttime", api).fetch_latest("US-CA")
    assert value.g_per_kwh == pytest.approx(453.59237)
    assert (value.kind, value.at, value.updated_at) == ("marginal direct", NOW, NOW)
    login, asked = api.asked
    assert login.headers["authorization"] == "Basic c29tZW9uZTpwYTU1d29yZA=="
    assert dict(asked.url.params) == {
        "region": "CAISO_NORTH", "signal_type": "co2_moer", "horizon_hours": "0",
    }  # fmt: skip


def test_one_login_serves_until_it_is_old_or_refused() -> None:
    api, clock = Api(data(NOW, [1000.0])), Clock()
    provider = opened("watttime", api, clock=clock)
    for minutes, logins in ((0, 1), (10, 1), (20, 2)):
        clock.pass_by(60 * minutes)
        provider.fetch_latest("US-CA")
        assert api.tokens == logins
    clock.pass_by(600)
    api.revoked = 1
    assert provider.fetch_latest("US-CA").g_per_kwh > 0
    assert api.tokens == 3


def test_a_wrong_password_is_said_without_it() -> None:
    with pytest.raises(KeyRefused, match="does not accept the user and password") as caught:
        opened("watttime", Answers(httpx.Response(403, text=LOGIN))).fetch_latest("US-CA")
    assert "pa55word" not in str(caught.value)


def test_a_login_that_fails_for_a_while_is_tried_again() -> None:
    api = Api(data(NOW, [1000.0]))
    answers, clock = Answers(httpx.Response(503), httpx.Response(503), api), Clock()
    assert opened("watttime", answers, clock=clock).fetch_latest("US-CA").g_per_kwh > 0
    assert clock.waits == [0.5, 1.0]


def test_a_login_that_is_down_leaves_what_is_kept() -> None:
    api, clock = Api(data(NOW, [1000.0])), Clock()
    answers = Answers(api, api, httpx.Response(503))
    provider = opened("watttime", answers, clock=clock, patience=Patience(attempts=1))
    first = provider.fetch_latest("US-CA")
    clock.pass_by(1800)
    assert provider.fetch_latest("US-CA") == first
    clock.pass_by(3 * 3600)
    with pytest.raises(AnswerRefused, match="3 h are allowed"):
        provider.fetch_latest("US-CA")
    with pytest.raises(ProviderDown, match="503"):
        provider.fetch_latest("US-TX")


@pytest.mark.parametrize("key", ["someone", "someone:", ":pa55word", ""])
def test_a_key_without_user_and_password_is_refused(key: str) -> None:
    with pytest.raises(KeyRefused, match="pass user:password as api_key"):
        opened("watttime", Answers({}), api_key=key)


def test_a_region_that_is_not_subscribed_is_said() -> None:
    login = httpx.Response(200, json={"token": "t"})
    with pytest.raises(KeyRefused, match="only CAISO_NORTH"):
        opened("watttime", Answers(login, httpx.Response(403))).fetch_latest("US-TX")


@pytest.mark.parametrize(
    "meta", [{"region": "PJM_DC"}, {"units": "g_per_kwh"}, {"units": None}, {"signal_type": "health_damage"}]
)
def test_an_answer_about_something_else_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises(AnswerRefused, match="answered with"):
        opened("watttime", Api(data(NOW, [1000.0], **meta))).fetch_latest("US-CA")


@pytest.mark.parametrize("value", [-0.1, 6700.0, 10**400, -(10**400)])
def test_a_value_that_cannot_be_true_is_refused(value: float) -> None:
    with pytest.raises(AnswerRefused, match="can be true"):
        opened("watttime", Api(data(NOW, [value]))).fetch_latest("US-CA")


@pytest.mark.parametrize("body", [[], {}, {"data": 3, "meta": {}}, {"data": [], "meta": None}])
def test_an_answer_in_another_form_is_refused(body: object) -> None:
    with pytest.raises(AnswerRefused):
        opened("watttime", Api(body)).fetch_latest("US-CA")


def test_five_minutes_become_hours_and_an_hour_with_too_few_is_missing() -> None:
    first = datetime(2026, 3, 28, 20, tzinfo=UTC)
    values = [*[100.0] * 6, *[300.0] * 6, *[500.0] * 5, *[None] * 7, *[800.0] * 12]
    trace = opened("watttime", Api(data(first, values))).fetch_history("US-CA", first, first + 3 * HOUR)
    np.testing.assert_allclose(trace.g_per_kwh, np.array([200, np.nan, 800]) * 0.45359237)
    assert (trace.step, trace.basis) == (HOUR, "marginal direct")


def test_a_year_is_asked_a_month_at_a_time() -> None:
    def answer(request: httpx.Request) -> dict[str, Any]:
        start, end = (datetime.fromisoformat(request.url.params[key]) for key in ("start", "end"))
        assert end - start <= timedelta(days=32)
        return data(start, [500.0] * round((end - start) / FIVE))

    start = datetime(2026, 1, 1, tzinfo=UTC)
    trace = opened("watttime", Api(answer)).fetch_history("US-CA", start, NOW)
    assert trace.start == start
    assert not np.isnan(trace.g_per_kwh).any()


def test_a_forecast_counts_what_is_left_of_the_hour_under_way() -> None:
    api = Api(data(NOW, [1000.0] * 4 + [2000.0] * 12))
    forecast = opened("watttime", api).fetch_forecast("US-CA", 96 * HOUR)
    assert forecast.start == datetime(2026, 3, 29, tzinfo=UTC)
    np.testing.assert_allclose(forecast.g_per_kwh, [453.59237, 907.18474])
    assert api.asked[-1].url.params["horizon_hours"] == "72"


def test_what_is_marginal_has_no_mix() -> None:
    with pytest.raises(MixUnavailable):
        opened("watttime", Answers({})).fetch_mix("US-CA")
