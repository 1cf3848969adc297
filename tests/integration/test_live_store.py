"""Live views in Redis: mosaics, duplicates, starting anew, who watches, tickets."""

from __future__ import annotations

import pytest
import redis

from redis_db import RedisDB
from schema.live import DEFAULT_VIEW, MAX_POINTS, LiveOutcome, LivePoint, LiveTile, LiveUpdate
from store.live import QUIET_S

RUN = "a" * 32


def tiles(first: int, count: int) -> tuple[LiveTile, ...]:
    return tuple(
        LiveTile(sample_id=str(number), prediction="a", ground_truth="b", confidence=0.5, image="data:,")
        for number in range(first, first + count)
    )


def update(
    db: RedisDB, iteration: int, count: int = 0, *, first: int = 0, view: str = DEFAULT_VIEW
) -> LiveOutcome:
    point = LivePoint(iteration, 1 / (1 + iteration))
    return db.live.update(view, LiveUpdate(points=(point,), tiles=tiles(first, count)))


def losses(db: RedisDB, view: str = DEFAULT_VIEW) -> list[int]:
    _, entries, _ = db.live.list_newest(view)
    return [point.iteration for entry in entries for point in entry.points]


def shown(db: RedisDB, view: str = DEFAULT_VIEW) -> list[int] | None:
    mosaic = db.live.find_mosaic(view)
    return None if mosaic is None else [int(tile.sample_id) for tile in mosaic.tiles]


def test_small_batches_gather_until_there_are_sixteen_and_the_rest_begins_the_next(db: RedisDB) -> None:
    assert update(db, 1, 10) == (1, False)
    assert shown(db) is None
    assert update(db, 2, 10, first=10) == (1, True)
    assert shown(db) == list(range(16))
    assert update(db, 3, 12, first=20) == (1, True)
    assert shown(db) == list(range(16, 32))


def test_a_batch_of_sixteen_is_a_mosaic_and_drops_what_was_gathered(db: RedisDB) -> None:
    update(db, 1, 5)
    assert update(db, 2, 16, first=100) == (1, True)
    assert shown(db) == list(range(100, 116))
    _, entries, _ = db.live.list_newest(DEFAULT_VIEW)
    assert [(entry.aggregated, entry.is_ready) for entry in entries] == [(5, False), (0, True)]
    assert update(db, 3) == (1, False)
    assert db.live.list_newest(DEFAULT_VIEW)[1][-1].is_ready, "an update without samples changes no mosaic"


def test_duplicates_and_older_iterations_change_nothing(db: RedisDB) -> None:
    update(db, 5, 4)
    before = db.live.list_newest(DEFAULT_VIEW)
    assert update(db, 5, 16) == (0, False)
    assert update(db, 4, 16) == (0, False)
    assert db.live.list_newest(DEFAULT_VIEW) == before


def test_the_newest_points_are_kept(db: RedisDB) -> None:
    for start in range(0, 3 * MAX_POINTS, 100):
        points = tuple(LivePoint(iteration, "NaN") for iteration in range(start, start + 100))
        db.live.update(DEFAULT_VIEW, LiveUpdate(points=points))
    assert losses(db)[-1] == 3_099
    assert len(losses(db)) >= MAX_POINTS


def test_no_more_updates_are_read_than_are_shown(db: RedisDB) -> None:
    for start in range(0, 200 * MAX_POINTS, MAX_POINTS):
        points = tuple(LivePoint(start + place, 0.5) for place in range(MAX_POINTS))
        db.live.update(DEFAULT_VIEW, LiveUpdate(points=points))
    assert losses(db) == list(range(199 * MAX_POINTS, 200 * MAX_POINTS))
    update(db, 200 * MAX_POINTS)
    place, entries, _ = db.live.list_newest(DEFAULT_VIEW)
    assert [len(entry.points) for entry in entries] == [MAX_POINTS, 1]
    assert place == entries[-1].entry_id


def test_entries_of_one_point_do_not_pile_up(db: RedisDB, primary_url: str) -> None:
    for iteration in range(MAX_POINTS + 500):
        update(db, iteration)
    with redis.Redis.from_url(primary_url) as client:
        (key,) = client.keys("*live:default:updates")
        assert MAX_POINTS <= client.xlen(key) < MAX_POINTS + 200
    assert losses(db) == list(range(500, MAX_POINTS + 500))


def test_the_default_view_starts_anew_after_ten_quiet_seconds_alone(db: RedisDB, primary_url: str) -> None:
    update(db, 7, 16)
    assert update(db, 1) == (0, False)
    age(primary_url, QUIET_S - 1)
    assert update(db, 1) == (0, False)
    age(primary_url, 2)
    assert update(db, 2) == (0, False), "only an iteration of 0 or 1 begins a training"
    assert update(db, 1, 3) == (1, False)
    assert losses(db) == [1]
    assert shown(db) is None
    _, entries, _ = db.live.list_newest(DEFAULT_VIEW)
    assert (entries[0].is_start, entries[-1].aggregated, entries[-1].is_ready) == (True, 3, False)


def age(primary_url: str, seconds: float) -> None:
    """Make the last update that much older."""
    with redis.Redis.from_url(primary_url, decode_responses=True) as client:
        (key,) = client.keys("*live:default")
        client.hset(key, "updated_at", float(client.hget(key, "updated_at") or 0) - seconds)


def test_the_view_of_a_run_never_starts_anew_by_itself_and_is_not_kept_for_ever(
    db: RedisDB, primary_url: str
) -> None:
    update(db, 7, view=RUN)
    with redis.Redis.from_url(primary_url, decode_responses=True) as client:
        (key,) = client.keys(f"*live:{RUN}")
        client.hset(key, "updated_at", 1)
        assert update(db, 1, view=RUN) == (0, False)
        assert all(client.ttl(found) > 0 for found in client.keys(f"*live:{RUN}*"))
    db.live.update(RUN, LiveUpdate(points=(LivePoint(1, 0.5),)), is_new=True)
    assert losses(db, RUN) == [1]


def test_a_reset_empties_a_view_and_its_readers_go_on_after_it(db: RedisDB) -> None:
    update(db, 9, 16)
    place, _, _ = db.live.list_newest(DEFAULT_VIEW)
    db.live.reset(DEFAULT_VIEW)
    update(db, 1)
    (begun, first) = db.live.read({DEFAULT_VIEW: place}, wait_s=0.1)[DEFAULT_VIEW]
    assert begun.is_start
    assert [point.iteration for point in first.points] == [1]
    assert shown(db) is None


def test_a_reset_in_the_same_millisecond_is_not_missed(db: RedisDB) -> None:
    for iteration in range(1, 200):
        update(db, iteration)
        place, _, _ = db.live.list_newest(DEFAULT_VIEW)
        db.live.reset(DEFAULT_VIEW)
        (begun,) = db.live.read({DEFAULT_VIEW: place}, wait_s=0.1)[DEFAULT_VIEW]
        assert begun.is_start


def test_mosaics_count_on_over_a_reset(db: RedisDB) -> None:
    update(db, 1, 16)
    db.live.reset(DEFAULT_VIEW)
    update(db, 1, 16)
    mosaic = db.live.find_mosaic(DEFAULT_VIEW)
    assert mosaic is not None
    assert (mosaic.number, mosaic.iteration) == (2, 1)


def test_views_are_apart_and_only_those_with_news_are_told(db: RedisDB) -> None:
    update(db, 1, view=RUN)
    assert set(db.live.read({RUN: "0-0", DEFAULT_VIEW: "0-0"}, wait_s=0.05)) == {RUN}
    assert db.live.read({DEFAULT_VIEW: "0-0"}, wait_s=0.01) == {}


@pytest.mark.parametrize("loss", [0.1 + 0.2, 1e-300, 5, "NaN", "Infinity", "-Infinity"])
def test_losses_come_back_as_they_were(db: RedisDB, loss: float) -> None:
    db.live.update(DEFAULT_VIEW, LiveUpdate(points=(LivePoint(2**53 - 1, loss),)))
    _, entries, _ = db.live.list_newest(DEFAULT_VIEW)
    assert entries[-1].points == (LivePoint(2**53 - 1, loss),)


def test_who_watches_is_forgotten_after_a_while(db: RedisDB, primary_url: str) -> None:
    assert not db.live.is_watched(RUN)
    db.live.watch([RUN], ttl_s=60)
    assert db.live.is_watched(RUN)
    assert not db.live.is_watched(DEFAULT_VIEW)
    with redis.Redis.from_url(primary_url) as client:
        (key,) = client.keys("*live:watched")
        client.zadd(key, {RUN: 1})
        assert not db.live.is_watched(RUN)
        db.live.watch([DEFAULT_VIEW], ttl_s=60)
        assert client.zcard(key) == 1


def test_a_deleted_run_leaves_no_view(db: RedisDB, primary_url: str) -> None:
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    update(db, 1, 20 - 4, view=run_id)
    update(db, 2, 3, view=run_id)
    db.controls.cancel(run_id)
    db.controls.delete(run_id)
    with redis.Redis.from_url(primary_url) as client:
        assert client.keys("*live:*") == []


def test_a_ticket_opens_once(db: RedisDB) -> None:
    ticket = db.live.issue_ticket(RUN, ttl_s=60)
    assert db.live.redeem_ticket(ticket) == RUN
    assert db.live.redeem_ticket(ticket) is None
    assert db.live.redeem_ticket("made-up") is None
