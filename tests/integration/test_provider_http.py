"""Providers over real sockets: every way in which an answer fails, from a thread and from an event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import numpy as np
import pytest

from carbon_aware_trainer.errors import (
    AnswerRefused,
    CarbonError,
    ForecastUnavailable,
    IntensityUnavailable,
    KeyRefused,
    ProviderDown,
)
from carbon_aware_trainer.providers import Patience, ProcessCache, Provider, open_provider
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.traces import Forecast, Trace
from tests.http_server import Reply, Site, serving
from tests.provider_parts import HOUR, TOKEN

NOW = datetime(2026, 10, 25, 1, 20, tzinfo=UTC)
QUICK = Patience(attempt_s=0.4, total_s=1.2, attempts=2, first_wait_s=0.01, pause_s=0.0)
Way = Literal["thread", "loop"]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(params=["thread", "loop"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


def opened(site: Site, **options: Any) -> Provider:
    options = {"patience": QUICK, "now": lambda: NOW, **options}
    return open_provider("electricitymaps", api_key=TOKEN, base_url=site.url, **options)


def fetch_latest(provider: Provider, way: Way, zone: str = "DE") -> Intensity:
    return provider.fetch_latest(zone) if way == "thread" else asyncio.run(provider.afetch_latest(zone))


def fetch_history(provider: Provider, way: Way, start: datetime, end: datetime) -> Trace:
    if way == "thread":
        return provider.fetch_history("DE", start, end)
    return asyncio.run(provider.afetch_history("DE", start, end))


def fetch_forecast(provider: Provider, way: Way) -> Forecast:
    return provider.fetch_forecast("DE") if way == "thread" else asyncio.run(provider.afetch_forecast("DE"))


def latest(value: Any = 302, **changed: Any) -> dict[str, Any]:
    return {"zone": "DE", "carbonIntensity": value, "datetime": "2026-10-25T01:00:00.000Z", **changed}


def in_turn(site: Site, *replies: Reply) -> None:
    left = list(replies)
    site.answer = lambda _path, _params: left.pop(0) if len(left) > 1 else left[0]


def test_an_answer_comes_through_with_the_key_in_its_header_and_in_no_log(
    site: Site, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    in_turn(site, Reply(latest()))
    with caplog.at_level(logging.DEBUG):
        assert fetch_latest(opened(site), way).g_per_kwh == 302
    assert "GET" in caplog.text
    assert TOKEN not in caplog.text
    path, params, headers = site.asked[0]
    assert (path, params["disableCallerLookup"]) == ("/carbon-intensity/latest", "true")
    assert headers["auth-token"] == TOKEN


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(status=401, body=TOKEN.encode()), KeyRefused, "does not accept the key"),
        (Reply(status=403), KeyRefused, "A free key has one zone"),
        (Reply(status=404), AnswerRefused, "does not know DE"),
        (Reply(status=429), ProviderDown, "too many requests"),
        (Reply(status=500), ProviderDown, r"error of its own \(500\)"),
        (Reply(status=503, headers={"Retry-After": "60"}), ProviderDown, "wait 60 s"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), AnswerRefused, "another address"),
        (Reply(latest(zone="FR")), AnswerRefused, "about FR, not DE"),
        (Reply(latest(datetime="2026-10-24T01:00:00Z")), AnswerRefused, "24.3 h ago"),
        (Reply(latest(-1)), AnswerRefused, "can be true"),
        (Reply(latest(3000.1)), AnswerRefused, "can be true"),
        (Reply(latest(None)), AnswerRefused, "no value of DE"),
        (Reply(b""), AnswerRefused, "no JSON"),
        (Reply(b"<html>maintenance</html>"), AnswerRefused, "no JSON"),
        (Reply(b'{"zone": "DE", "carbonIn'), AnswerRefused, "no JSON"),
        (Reply(b"{}", headers={"Content-Encoding": "gzip"}), ProviderDown, "broke off"),
        (Reply(b"{}", promised=10), ProviderDown, "broke off|did not answer"),
        (Reply(hang=True), ProviderDown, "did not answer within"),
        (Reply(b" " * 1000, trickle_s=0.05), ProviderDown, "did not answer within"),
    ],
    ids=lambda value: value.body[:12] if isinstance(value, Reply) and isinstance(value.body, bytes) else None,
)
def test_each_failure_has_its_own_sentence_and_comes_in_time(
    site: Site, way: Way, reply: Reply, error: type[CarbonError], said: str
) -> None:
    in_turn(site, reply)
    provider = opened(site)
    began = time.monotonic()
    with pytest.raises(error, match=said) as caught:
        fetch_latest(provider, way)
    assert time.monotonic() - began < 20, "what hangs does so for ever, what trickles for 50 s"
    assert TOKEN not in str(caught.value)


def test_nobody_at_the_address_is_said(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    provider = open_provider(
        "electricitymaps", api_key=TOKEN, base_url=f"http://127.0.0.1:{port}", patience=QUICK
    )
    with pytest.raises(ProviderDown, match=r"127\.0\.0\.1 cannot be reached\. Check the network"):
        fetch_latest(provider, way)


def test_too_many_requests_are_followed_by_the_wait_that_was_asked_for(site: Site, way: Way) -> None:
    in_turn(site, Reply(status=429, headers={"Retry-After": "1"}), Reply(latest()))
    began = time.monotonic()
    patience = Patience(attempt_s=2, total_s=5, first_wait_s=0.01)
    assert fetch_latest(opened(site, patience=patience), way).g_per_kwh == 302
    assert time.monotonic() - began >= 1
    assert len(site.asked) == 2


def test_a_server_that_hangs_once_is_asked_again(site: Site, way: Way) -> None:
    in_turn(site, Reply(hang=True), Reply(latest()))
    assert fetch_latest(opened(site), way).g_per_kwh == 302


def test_history_has_its_gaps_and_an_empty_one_is_said(site: Site, way: Way) -> None:
    first = datetime(2026, 10, 24, 22, tzinfo=UTC)
    # the hour that Central Europe has twice, by its offsets
    local = ["2026-10-25T00:00+02:00", "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]
    body = {"zone": "DE", "history": [{"carbonIntensity": 9, "datetime": at} for at in local]}
    in_turn(site, Reply(body))
    trace = fetch_history(opened(site), way, first, NOW)
    np.testing.assert_array_equal(trace.g_per_kwh, [9, np.nan, 9, 9])
    in_turn(site, Reply({"zone": "DE", "history": []}))
    with pytest.raises(IntensityUnavailable, match="has no values of DE for that time"):
        fetch_history(opened(site), way, first, NOW)


def test_no_forecast_is_no_failure(site: Site, way: Way) -> None:
    in_turn(site, Reply(status=403))
    with pytest.raises(ForecastUnavailable):
        fetch_forecast(opened(site), way)


def test_watttime_logs_in_and_reads(site: Site, way: Way) -> None:
    point = {"point_time": "2026-10-25T01:20:00+00:00", "value": 1000}
    meta = {"region": "CAISO_NORTH", "units": "lbs_co2_per_mwh"}
    site.answer = lambda path, _params: Reply(
        {"token": "t1"} if path == "/login" else {"data": [point], "meta": meta}
    )
    provider = open_provider(
        "watttime", api_key="me:secret", base_url=site.url, now=lambda: NOW, patience=QUICK
    )
    assert fetch_latest(provider, way, "US-CA").g_per_kwh == pytest.approx(453.59237)
    assert [asked[2]["authorization"] for asked in site.asked] == ["Basic bWU6c2VjcmV0", "Bearer t1"]


def test_the_uk_answers_in_half_hours(site: Site, way: Way) -> None:
    half = {
        "from": "2026-10-25T01:00Z",
        "to": "2026-10-25T01:30Z",
        "intensity": {"forecast": 9, "actual": None},
    }
    in_turn(site, Reply({"data": [half]}))
    provider = open_provider("uk", base_url=site.url, now=lambda: NOW, patience=QUICK)
    assert fetch_latest(provider, way, "GB").is_estimated
    assert provider.fetch_forecast("GB").step == timedelta(minutes=30)


def test_many_threads_and_tasks_ask_once(site: Site) -> None:
    release = threading.Event()

    def slowly(_path: str, _params: dict[str, str]) -> Reply:
        release.wait(10)
        return Reply(latest())

    site.answer = slowly
    provider = opened(site, patience=Patience())
    found: list[float] = []
    threads = [
        threading.Thread(target=lambda: found.append(provider.fetch_latest("DE").g_per_kwh)) for _ in range(8)
    ]

    async def tasks() -> None:
        asked = [asyncio.create_task(provider.afetch_latest("DE")) for _ in range(8)]
        await asyncio.sleep(0.2)
        release.set()
        found.extend(value.g_per_kwh for value in await asyncio.gather(*asked))

    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    assert found == [302.0] * 16
    assert len(site.asked) == 1


def test_a_failure_is_everybodys_and_is_asked_for_once(site: Site) -> None:
    in_turn(site, Reply(status=401))

    async def both() -> list[object]:
        provider = opened(site)
        asked = [provider.afetch_latest("DE") for _ in range(5)]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    assert [type(failure) for failure in asyncio.run(both())] == [KeyRefused] * 5
    assert len(site.asked) == 1


def test_a_task_that_is_cancelled_leaves_its_question_to_another(site: Site) -> None:
    in_turn(site, Reply(hang=True), Reply(latest()))

    async def one_goes() -> float:
        provider = opened(site, patience=Patience())
        first = asyncio.create_task(provider.afetch_latest("DE"))
        while not site.asked:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(provider.afetch_latest("DE"))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return (await second).g_per_kwh

    assert asyncio.run(one_goes()) == 302
    assert len(site.asked) == 2


def test_who_joined_may_give_up_alone(site: Site) -> None:
    release = threading.Event()

    def slowly(_path: str, _params: dict[str, str]) -> Reply:
        release.wait(10)
        return Reply(latest())

    site.answer = slowly

    async def second_goes() -> float:
        provider = opened(site, patience=Patience())
        first = asyncio.create_task(provider.afetch_latest("DE"))
        second = asyncio.create_task(provider.afetch_latest("DE"))
        while not site.asked:
            await asyncio.sleep(0.01)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        return (await first).g_per_kwh

    assert asyncio.run(second_goes()) == 302


def test_a_plain_call_inside_a_loop_does_not_wait_for_a_task_it_holds_up(site: Site) -> None:
    is_second = threading.Event()

    def answer(_path: str, _params: dict[str, str]) -> Reply:
        if len(site.asked) > 1:
            is_second.set()
        is_second.wait(10)
        return Reply(latest())

    site.answer = answer

    async def mixed() -> list[float]:
        provider = opened(site, patience=Patience(attempt_s=5, total_s=5, attempts=1))
        task = asyncio.create_task(provider.afetch_latest("DE"))
        while not site.asked:
            await asyncio.sleep(0.01)
        plain = provider.fetch_latest("DE")
        return [plain.g_per_kwh, (await task).g_per_kwh]

    assert asyncio.run(mixed()) == [302, 302]
    assert len(site.asked) == 2


def test_two_providers_of_one_cache_ask_once(site: Site) -> None:
    release, cache = threading.Event(), ProcessCache()

    def slowly(_path: str, _params: dict[str, str]) -> Reply:
        release.wait(10)
        return Reply(latest())

    site.answer = slowly

    async def both() -> list[Intensity]:
        asked = [opened(site, cache=cache, patience=Patience()).afetch_latest("DE") for _ in range(2)]
        gathered = asyncio.gather(*asked)
        await asyncio.sleep(0.3)
        release.set()
        return list(await gathered)

    assert [value.g_per_kwh for value in asyncio.run(both())] == [302, 302]
    assert len(site.asked) == 1


class Counted(httpx.HTTPTransport):
    closed = 0

    def __exit__(self, *args: Any) -> None:
        self.closed += 1
        super().__exit__(*args)

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_a_transport_stays_its_owners(site: Site) -> None:
    in_turn(site, Reply(latest()))
    transport = Counted()
    provider = opened(site, transport=transport)
    assert provider.fetch_latest("DE").g_per_kwh == 302
    assert transport.closed == 0
    transport.close()


def test_a_transport_has_to_fit_the_call(site: Site) -> None:
    with pytest.raises(CarbonError, match="sync calls only"):
        asyncio.run(opened(site, transport=httpx.HTTPTransport()).afetch_latest("DE"))
    with pytest.raises(CarbonError, match="async calls only"):
        opened(site, transport=httpx.AsyncHTTPTransport()).fetch_latest("DE")
    assert site.asked == []


def test_a_fallback_answers_when_the_primary_is_down(site: Site, way: Way) -> None:
    in_turn(site, Reply(status=500))
    chain = open_provider(
        "electricitymaps", api_key=TOKEN, base_url=site.url, patience=QUICK, region="DE",
        fallback=open_provider("static"),
    )  # fmt: skip
    assert fetch_latest(chain, way).provider == "static"
    trace = fetch_history(chain, way, NOW - 3 * HOUR, NOW)
    assert (trace.provider, len(set(trace.g_per_kwh))) == ("static", 1)
    with pytest.raises(ProviderDown, match=r"\(500\).* one figure for a whole year"):
        fetch_forecast(chain, way)


def test_a_name_that_is_looked_up_for_ever_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    is_over = threading.Event()

    def look_up(*_: Any, **__: Any) -> list[Any]:
        is_over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    provider = open_provider(
        "electricitymaps",
        api_key="key",
        base_url="http://provider.invalid",
        patience=Patience(attempt_s=0.3, total_s=0.3, attempts=1),
    )
    began_s = time.monotonic()
    try:
        with pytest.raises(ProviderDown, match=r"provider.invalid did not answer within 0\.[23]"):
            fetch_latest(provider, way) if way == "thread" else asyncio.run(_let_go(provider, is_over))
    finally:
        is_over.set()
    assert time.monotonic() - began_s < 60


async def _let_go(provider: Provider, is_over: threading.Event) -> None:
    try:
        await provider.afetch_latest("DE")
    finally:
        is_over.set()  # a loop that ends waits for its look-ups
