"""What was recorded of zones, what forecasters learned, and answers kept for all programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import redis

from errors import InvalidInput
from redis_db import RedisDB
from schema import RecordedIntensities
from store.intensities import KEPT_DAYS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALWAYS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
ALL_BYTES = bytes(range(256)) * 4


def recorded(
    *values: float | None, start: datetime = NOON, step_s: int = 3600, basis: str = "average lifecycle"
) -> RecordedIntensities:
    return RecordedIntensities(
        zone="DE", provider="cached", basis=basis, start=start, step_s=step_s, g_per_kwh=values
    )


def test_what_was_put_comes_back(db: RedisDB) -> None:
    history = recorded(*(float(300 + hour % 7) for hour in range(100)))
    db.intensities.put(history)
    assert db.intensities.find("DE", "cached", *ALWAYS) == history
    part = db.intensities.find("DE", "cached", NOON + 20 * HOUR, NOON + 45 * HOUR)
    assert part == recorded(*history.g_per_kwh[20:45], start=NOON + 20 * HOUR)
    assert db.intensities.find("DE", "cached", NOON - HOUR, NOON) is None
    assert db.intensities.find("FR", "cached", *ALWAYS) is None
    assert db.intensities.find("DE", "uk", *ALWAYS) is None


def test_gaps_stay_and_are_filled_once_their_values_are_known(db: RedisDB) -> None:
    db.intensities.put(recorded(1, None, 3, None, None))
    assert db.intensities.find("DE", "cached", *ALWAYS) == recorded(1, None, 3)
    db.intensities.put(recorded(None, 2, None, None, 5.25))
    db.intensities.put(recorded(7, start=NOON))
    assert db.intensities.find("DE", "cached", *ALWAYS) == recorded(7, 2, 3, None, 5.25)
    db.intensities.put(recorded(None, None))
    db.intensities.put(recorded())
    assert db.intensities.find("DE", "cached", *ALWAYS) == recorded(7, 2, 3, None, 5.25)


def test_days_without_values_between_others_are_gaps(db: RedisDB) -> None:
    db.intensities.put(recorded(1, start=NOON))
    db.intensities.put(recorded(2, start=NOON + 72 * HOUR))
    found = db.intensities.find("DE", "cached", *ALWAYS)
    assert found == recorded(1, *[None] * 71, 2)


def test_a_bound_between_two_slots_takes_those_that_begin_within(db: RedisDB) -> None:
    half_hours = recorded(1, 2, 3, 4, step_s=1800)
    db.intensities.put(half_hours)
    minute = timedelta(minutes=1)
    found = db.intensities.find("DE", "cached", NOON + minute, NOON + HOUR + minute)
    assert found == recorded(2, 3, start=NOON + HOUR / 2, step_s=1800)


def test_times_may_be_told_in_any_time_zone(db: RedisDB) -> None:
    tokyo = timezone(timedelta(hours=9))
    db.intensities.put(recorded(*range(40), start=NOON.astimezone(tokyo)))
    start, end = ((NOON + 30 * HOUR).astimezone(tokyo), (NOON + 32 * HOUR).astimezone(tokyo))
    assert db.intensities.find("DE", "cached", start, end) == recorded(30, 31, start=NOON + 30 * HOUR)


@pytest.mark.parametrize("other", [{"basis": "marginal lifecycle"}, {"step_s": 1800}])
def test_another_basis_or_step_replaces_everything(db: RedisDB, other: dict[str, object]) -> None:
    db.intensities.put(recorded(1, 2, 3))
    newer = recorded(9).model_copy(update=other)
    db.intensities.put(newer)
    assert db.intensities.find("DE", "cached", *ALWAYS) == newer


def test_days_of_long_ago_are_forgotten(db: RedisDB, raw: redis.Redis) -> None:
    for days in (KEPT_DAYS + 1, KEPT_DAYS, 1, 0):
        db.intensities.put(recorded(1, start=NOON - timedelta(days=days)))
    found = db.intensities.find("DE", "cached", *ALWAYS)
    assert found is not None
    assert found.start == NOON - timedelta(days=KEPT_DAYS)
    assert raw.hlen("carbon:intensities:DE:cached") == 2 + 3


@pytest.mark.parametrize(
    "values", [recorded(1, step_s=7 * 3600), recorded(1, start=NOON + timedelta(minutes=5))]
)
def test_a_grid_that_does_not_begin_at_midnight_is_refused(
    db: RedisDB, raw: redis.Redis, values: RecordedIntensities
) -> None:
    with pytest.raises(InvalidInput, match="even grid"):
        db.intensities.put(values)
    assert raw.dbsize() == 0


def test_a_forecaster_comes_back_to_the_byte(db: RedisDB, raw: redis.Redis) -> None:
    assert db.intensities.find_forecaster("DE", "cached") is None
    db.intensities.save_forecaster("DE", "cached", b"old")
    db.intensities.save_forecaster("DE", "cached", ALL_BYTES)
    assert db.intensities.find_forecaster("DE", "cached") == ALL_BYTES
    assert db.intensities.find_forecaster("DE", "uk") is None
    assert 89 * 86_400 < raw.ttl("carbon:forecaster:DE:cached") <= 90 * 86_400


def test_an_answer_comes_back_to_the_byte_until_its_time_is_over(db: RedisDB, raw: redis.Redis) -> None:
    assert db.cache.get("latest") is None
    db.cache.put("latest", b"", ttl_s=60)
    assert db.cache.get("latest") == b""
    db.cache.put("latest", ALL_BYTES, ttl_s=60)
    assert db.cache.get("latest") == ALL_BYTES
    assert 0 < raw.pttl("carbon:answer:latest") <= 60_000
    raw.pexpire("carbon:answer:latest", 0)
    assert db.cache.get("latest") is None


def test_one_at_a_time_fetches_an_answer(db: RedisDB, raw: redis.Redis) -> None:
    token = db.cache.claim("latest", ttl_s=60)
    assert token is not None
    assert db.cache.claim("latest", ttl_s=60) is None
    assert db.cache.claim("forecast", ttl_s=60) is not None
    assert 0 < raw.pttl("carbon:fetching:latest") <= 60_000
    db.cache.release("latest", "somebody else's")
    assert db.cache.claim("latest", ttl_s=60) is None
    db.cache.release("latest", token)
    newer = db.cache.claim("latest", ttl_s=60)
    assert newer is not None
    db.cache.release("latest", token)
    assert db.cache.claim("latest", ttl_s=60) is None
