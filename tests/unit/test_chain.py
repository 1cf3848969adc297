from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from carbon_aware_trainer.errors import (
    BasesMixed,
    CarbonError,
    ForecastUnavailable,
    MixUnavailable,
    ProviderDown,
    UnknownModel,
    UnknownZone,
)
from carbon_aware_trainer.providers import Patience, Provider, open_provider
from carbon_aware_trainer.providers.choose import MODELS
from tests.provider_parts import HOUR, NOW, Answers, opened
from tests.unit.test_electricitymaps import LATEST, hours

DOWN = httpx.Response(500)
ONCE = Patience(attempts=1, pause_s=0)


@pytest.fixture
def recorded(tmp_path: Path) -> Provider:
    first = datetime(2026, 3, 28, 20, tzinfo=UTC)
    entries = [{"timestamp": (first + i * HOUR).isoformat(), "carbon_intensity": 50 + i} for i in range(12)]
    path = tmp_path / "carbon.json"
    path.write_text(json.dumps({"regions": {"DE": {"historical": entries[:5], "forecast": entries[5:]}}}))
    return open_provider("cached", api_key=str(path), now=lambda: NOW)


def chain(fallback: Provider, *answers: object) -> Provider:
    return opened("electricitymaps", Answers(*answers), fallback=fallback, patience=ONCE)


def test_the_primary_answers_while_it_can(recorded: Provider) -> None:
    both = chain(recorded, LATEST)
    assert (both.name, both.basis) == ("electricitymaps", "average lifecycle")
    assert both.fetch_latest("DE").provider == "electricitymaps"


def test_the_fallbacks_whole_answer_is_taken_under_its_own_name(recorded: Provider) -> None:
    ten_days = hours(datetime(2026, 3, 20, tzinfo=UTC), [100.0] * 24, key="data")
    both = chain(recorded, ten_days, DOWN)
    trace = both.fetch_history("DE", datetime(2026, 3, 20, tzinfo=UTC), NOW)
    assert trace.provider == "cached"
    assert trace.start == datetime(2026, 3, 28, 20, tzinfo=UTC), "nothing of the primary's first part"
    assert chain(recorded, DOWN).fetch_latest("DE").g_per_kwh == 54
    assert chain(recorded, DOWN).fetch_forecast("DE").provider == "cached"


def test_an_event_loop_falls_back_as_well(recorded: Provider) -> None:
    assert asyncio.run(chain(recorded, DOWN).afetch_latest("DE")).provider == "cached"
    with pytest.raises(MixUnavailable):
        asyncio.run(recorded.afetch_mix("DE"))


def test_no_forecast_is_an_answer_which_the_fallback_does_not_replace(recorded: Provider) -> None:
    with pytest.raises(ForecastUnavailable, match="with this key"):
        chain(recorded, httpx.Response(403)).fetch_forecast("DE")


def test_a_zone_that_does_not_exist_is_no_reason_to_fall_back(recorded: Provider) -> None:
    with pytest.raises(UnknownZone, match="'Germny' is no known zone"):
        chain(recorded, LATEST).fetch_latest("Germny")
    with pytest.raises(UnknownZone, match=r"no zone 'FR'"):
        chain(recorded, LATEST).check_zone("FR")


def test_when_both_fail_both_are_said(recorded: Provider) -> None:
    with pytest.raises(ProviderDown, match=r"\(500\).*nothing recorded of DE"):
        chain(recorded, DOWN).fetch_history(
            "DE", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)
        )


@pytest.mark.parametrize(
    ("primary", "fallback"), [("watttime", "static"), ("uk", "static"), ("electricitymaps", "uk")]
)
def test_two_bases_never_stand_in_for_each_other(primary: str, fallback: str) -> None:
    with pytest.raises(BasesMixed, match="Choose a fallback on the same basis"):
        opened(primary, Answers({}), fallback=open_provider(fallback))


def test_direct_factors_go_with_the_uks() -> None:
    fallback = opened("electricitymaps", Answers(LATEST), basis="average direct")
    assert opened("uk", Answers({}), fallback=fallback).basis == "average direct"


@pytest.mark.parametrize(
    ("model", "near"), [("electricitymap5", "electricitymaps"), ("wattime", "watttime"), ("zzz", "or cached")]
)
def test_an_unknown_model_names_the_near_ones(model: str, near: str) -> None:
    with pytest.raises(UnknownModel, match=near):
        open_provider(model)


def test_the_models_are_those_of_the_documentation() -> None:
    assert MODELS == ("electricitymaps", "watttime", "uk", "static", "cached")


def test_a_countrys_average_is_the_same_at_every_hour() -> None:
    provider = open_provider("static", region="US-CA")
    value = provider.fetch_latest("US-CA")
    assert (value.zone, value.provider, value.kind) == ("US-CA", "static", "average lifecycle")
    assert value.source.endswith(", of USA")
    trace = provider.fetch_history("US-CA", NOW - 3 * HOUR, NOW)
    assert (len(trace.g_per_kwh), set(trace.g_per_kwh)) == (4, {value.g_per_kwh})
    mix = provider.fetch_mix("US-CA")
    assert sum(mix.shares.values()) == pytest.approx(1)
    assert mix.renewable_share is not None
    assert 0.1 < mix.renewable_share < 0.6
    with pytest.raises(ForecastUnavailable):
        provider.fetch_forecast("US-CA")
    with pytest.raises(UnknownZone, match=r"Near ones: DE \(Germany\)"):
        open_provider("static", region="Germny")


@pytest.mark.parametrize("url", ["", "api.electricitymaps.com", "ftp://a", "http://", "http://a:b"])
def test_an_address_that_is_none_is_refused_when_it_is_opened(url: str) -> None:
    with pytest.raises(CarbonError, match="The provider's URL is no address"):
        open_provider("uk", base_url=url)
