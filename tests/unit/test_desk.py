"""What every provider that is asked over a network has in common: waiting, keeping, sharing."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from carbon_aware_trainer.errors import AnswerRefused, ForecastUnavailable, KeyRefused, ProviderDown
from carbon_aware_trainer.providers import Patience, ProcessCache
from carbon_aware_trainer.providers.patience import retry_after_s
from tests.provider_parts import HOUR, NOW, TOKEN, Answers, Clock, opened
from tests.unit.test_electricitymaps import LATEST, hours

BUSY, BROKEN = httpx.Response(429), httpx.Response(500)


def test_an_answer_is_kept_for_five_minutes() -> None:
    answers, clock = Answers(LATEST, {**LATEST, "carbonIntensity": 77}), Clock()
    provider = opened("electricitymaps", answers, clock=clock)
    assert [provider.fetch_latest("DE").g_per_kwh for _ in range(3)] == [302, 302, 302]
    clock.pass_by(299)
    assert provider.fetch_latest("DE").g_per_kwh == 302
    clock.pass_by(1)
    assert provider.fetch_latest("DE").g_per_kwh == 77
    assert len(answers.asked) == 2


def test_an_answer_that_was_refused_is_not_kept() -> None:
    answers = Answers({**LATEST, "carbonIntensity": -5}, LATEST)
    provider = opened("electricitymaps", answers)
    with pytest.raises(AnswerRefused):
        provider.fetch_latest("DE")
    assert provider.fetch_latest("DE").g_per_kwh == 302


def test_two_providers_share_a_cache_but_not_two_keys() -> None:
    answers, cache, clock = Answers(LATEST), ProcessCache(), Clock()
    for key, asked in ((TOKEN, 1), (TOKEN, 1), ("another", 2)):
        opened("electricitymaps", answers, cache=cache, clock=clock, api_key=key).fetch_latest("DE")
        assert len(answers.asked) == asked


@pytest.mark.parametrize("passing", [BUSY, BROKEN, httpx.Response(503), httpx.ReadTimeout("slow")])
def test_what_may_pass_is_tried_again_after_waits_that_double(passing: object) -> None:
    answers, clock = Answers(passing, passing, passing, LATEST), Clock()
    assert opened("electricitymaps", answers, clock=clock).fetch_latest("DE").g_per_kwh == 302
    assert clock.waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 301])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    answers, clock = Answers(httpx.Response(status)), Clock()
    with pytest.raises((KeyRefused, AnswerRefused)):
        opened("electricitymaps", answers, clock=clock).fetch_latest("DE")
    assert (len(answers.asked), clock.waits) == (1, [])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0.0),
        ("soon", 0.5),
        ("-3", 0.5),
    ],
)
def test_the_server_says_how_long_to_wait(status: int, said: str, waited: float) -> None:
    answers, clock = Answers(httpx.Response(status, headers={"Retry-After": said}), LATEST), Clock()
    assert opened("electricitymaps", answers, clock=clock).fetch_latest("DE").g_per_kwh == 302
    assert clock.waits == [waited]


def test_a_date_to_wait_for_is_set_against_the_servers_own_clock() -> None:
    theirs = datetime(2030, 1, 1, tzinfo=UTC)
    headers = {
        "retry-after": format_datetime(theirs + timedelta(seconds=9), usegmt=True),
        "date": format_datetime(theirs, usegmt=True),
    }
    assert retry_after_s(headers, now=NOW) == 9.0


def test_a_wait_that_is_too_long_is_not_begun_and_not_disturbed() -> None:
    answers, clock = Answers(httpx.Response(429, headers={"Retry-After": "3600"}), LATEST), Clock()
    provider = opened("electricitymaps", answers, clock=clock, stale_after=timedelta(hours=9))
    for _ in range(3):
        with pytest.raises(ProviderDown, match=r"too many requests with this key \(429\).* wait 3600 s"):
            provider.fetch_latest("DE")
        with pytest.raises(ProviderDown, match="429"):
            provider.fetch_latest("FR")
    assert (len(answers.asked), clock.waits) == (1, [])
    clock.pass_by(3600)
    assert provider.fetch_latest("DE").g_per_kwh == 302


def test_all_attempts_together_are_bounded() -> None:
    clock = Clock()

    def slow(request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"]["read"] <= min(10, 15 - clock.seconds())
        clock.pass_by(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("slow")

    with pytest.raises(ProviderDown, match="did not answer within"):
        opened("electricitymaps", slow, clock=clock, patience=Patience(total_s=15)).fetch_latest("DE")
    assert clock.seconds() == pytest.approx(15)


def test_what_is_down_is_left_alone_for_a_while_but_not_the_other_questions() -> None:
    answers, clock = Answers(BROKEN), Clock()
    provider = opened("electricitymaps", answers, clock=clock)
    with pytest.raises(ProviderDown, match=r"has an error of its own \(500\)"):
        provider.fetch_latest("DE")
    asked = len(answers.asked)
    with pytest.raises(ProviderDown, match="500"):
        provider.fetch_latest("DE")
    assert len(answers.asked) == asked
    answers.answers = [{**LATEST, "zone": "FR"}]
    assert provider.fetch_latest("FR").g_per_kwh == 302
    clock.pass_by(30)
    answers.answers = [LATEST]
    assert provider.fetch_latest("DE").g_per_kwh == 302


def test_what_is_kept_stands_in_for_a_failure_until_it_is_stale(caplog: pytest.LogCaptureFixture) -> None:
    clock, answers = Clock(), Answers(LATEST, BROKEN)
    provider = opened("electricitymaps", answers, clock=clock)
    provider.fetch_latest("DE")
    clock.pass_by(3600)
    with caplog.at_level(logging.WARNING):
        value = provider.fetch_latest("DE")
    assert (value.g_per_kwh, value.at) == (302, datetime(2026, 3, 29, tzinfo=UTC))
    assert "intensity is of 2026-03-29T00:40" in caplog.text
    clock.pass_by(2 * 3600)
    with pytest.raises(AnswerRefused, match="3 h are allowed"):
        provider.fetch_latest("DE")


def test_a_refused_key_is_not_covered_by_what_is_kept() -> None:
    clock, answers = Clock(), Answers(LATEST, httpx.Response(401))
    provider = opened("electricitymaps", answers, clock=clock)
    provider.fetch_latest("DE")
    clock.pass_by(3600)
    with pytest.raises(KeyRefused):
        provider.fetch_latest("DE")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'{"zone": "DE"'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerRefused, match="no JSON"):
        opened("electricitymaps", Answers(httpx.Response(200, content=body))).fetch_latest("DE")


def test_no_error_and_no_log_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    failures = [
        httpx.Response(status, text=TOKEN, headers={"x": TOKEN})
        for status in (200, 301, 400, 401, 403, 404, 429, 500)
    ]
    with caplog.at_level(logging.DEBUG):
        for failure in [
            *failures,
            httpx.ConnectError(TOKEN),
            httpx.ReadTimeout(TOKEN),
            httpx.ReadError(TOKEN),
        ]:
            with pytest.raises(Exception) as caught:  # noqa: PT011 of every kind
                opened("electricitymaps", Answers(failure)).fetch_latest("DE")
            assert TOKEN not in str(caught.value)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(opened("electricitymaps", Answers(LATEST)))


class OfAnother(ProcessCache):
    """Another process holds every question; it has an answer after so many looks."""

    def __init__(self, answer_after: int) -> None:
        super().__init__()
        self.looks, self.answer_after = 0, answer_after

    def get(self, key: str) -> bytes | None:
        self.looks += not key.startswith("pause")
        is_there = self.looks > self.answer_after and not key.startswith("pause")
        return f"{NOW.isoformat()}\n{json.dumps(LATEST)}".encode() if is_there else None

    def claim(self, key: str, *, ttl_s: float) -> str | None:  # noqa: ARG002 it is never free
        return None


def test_what_another_process_is_fetching_is_waited_for() -> None:
    answers, clock = Answers(BROKEN), Clock()
    provider = opened("electricitymaps", answers, clock=clock, cache=OfAnother(4))
    assert provider.fetch_latest("DE").g_per_kwh == 302
    assert (answers.asked, clock.waits) == ([], [0.2, 0.2, 0.2])


def test_another_process_that_never_comes_back_is_waited_for_so_long_only() -> None:
    clock = Clock()
    provider = opened("electricitymaps", Answers(LATEST), clock=clock, cache=OfAnother(10**6))
    with pytest.raises(ProviderDown, match="did not answer within 30 s in all"):
        provider.fetch_latest("DE")
    assert clock.seconds() == pytest.approx(30, abs=0.3)


def test_what_is_kept_and_cannot_be_read_is_fetched_again(caplog: pytest.LogCaptureFixture) -> None:
    class Torn(ProcessCache):
        def get(self, key: str) -> bytes | None:
            return None if key.startswith("pause") else b"torn"

    assert opened("electricitymaps", Answers(LATEST), cache=Torn()).fetch_latest("DE").g_per_kwh == 302
    assert "cannot be read" in caplog.text


def test_a_claim_is_given_back_after_success_and_failure() -> None:
    clock = Clock()
    cache = ProcessCache(clock=clock.seconds)
    provider = opened(
        "electricitymaps", Answers(BROKEN, BROKEN, BROKEN, BROKEN, LATEST), cache=cache, clock=clock
    )
    with pytest.raises(ProviderDown):
        provider.fetch_latest("DE")
    clock.pass_by(31)
    provider.fetch_latest("DE")
    assert clock.waits == [0.5, 1.0, 2.0]


def test_a_cache_forgets_what_is_over_and_bounds_itself() -> None:
    clock = Clock()
    cache = ProcessCache(clock=clock.seconds)
    cache.put("a", b"1", ttl_s=10)
    clock.pass_by(9)
    assert cache.get("a") == b"1"
    clock.pass_by(1)
    assert cache.get("a") is None
    for number in range(1100):
        cache.put(f"{number}", b"", ttl_s=100 + number)
    assert (cache.get("0"), cache.get("1099")) == (None, b"")
    token = cache.claim("k", ttl_s=5)
    assert token
    assert cache.claim("k", ttl_s=5) is None
    cache.release("k", "of another")
    assert cache.claim("k", ttl_s=5) is None
    clock.pass_by(5)
    assert cache.claim("k", ttl_s=5)
    cache.release("k", token)
    assert cache.claim("k", ttl_s=5) is None


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_counts_for_an_hour_for_its_question_only(status: int) -> None:
    answers, clock = Answers(httpx.Response(status)), Clock()
    provider = opened("electricitymaps", answers, clock=clock)
    for _ in range(3):
        with pytest.raises((ForecastUnavailable, AnswerRefused), match=f"{status}"):
            provider.fetch_forecast("DE")
        clock.pass_by(1000)
    assert len(answers.asked) == 1
    answers.answers = [LATEST]
    assert provider.fetch_latest("DE").g_per_kwh == 302
    answers.answers = [hours(datetime(2026, 3, 29, tzinfo=UTC), list(range(1, 9)), key="forecast")]
    clock.pass_by(600)
    assert provider.fetch_forecast("DE").g_per_kwh[0] == 2


def test_a_refusal_hides_no_other_key() -> None:
    answers, cache, clock = Answers(httpx.Response(403), LATEST), ProcessCache(), Clock()
    with pytest.raises(KeyRefused):
        opened("electricitymaps", answers, cache=cache, clock=clock).fetch_latest("DE")
    other = opened("electricitymaps", answers, cache=cache, clock=clock, api_key="another")
    assert other.fetch_latest("DE").g_per_kwh == 302


def test_a_forecast_that_is_kept_is_as_old_as_it_is_and_refused_once_it_is_stale() -> None:
    made_at = datetime(2026, 3, 29, 0, 40, tzinfo=UTC)
    body = hours(datetime(2026, 3, 29, tzinfo=UTC), list(range(1, 25)), key="forecast")
    clock = Clock()
    provider = opened("electricitymaps", Answers(body, BROKEN), clock=clock)
    assert provider.fetch_forecast("DE", 6 * HOUR).made_at == made_at
    clock.pass_by(2 * 3600)
    later = provider.fetch_forecast("DE", 6 * HOUR)
    assert (later.made_at, later.start) == (made_at, datetime(2026, 3, 29, 2, tzinfo=UTC))
    clock.pass_by(2 * 3600)
    with pytest.raises(ForecastUnavailable, match=r"of 2026-03-29 00:40 UTC, 4\.0 h ago; 3 h are allowed"):
        provider.fetch_forecast("DE", 6 * HOUR)
