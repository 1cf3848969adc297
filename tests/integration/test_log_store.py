"""Log lines and events: ordered, capped, followed from the last one seen."""

from __future__ import annotations

import pytest
import redis

from errors import InvalidInput
from redis_db import RedisDB
from schema import Status
from store.log import MAX_LINE_CHARACTERS, MAX_LINES, MOST_SEARCHED
from tests.records import epoch, running


def test_lines_come_back_in_their_order_with_a_time(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, ["one", "", "größer"])
    db.log.append(lease, [])
    lines = db.log.list(lease.run_id)
    assert [line.text for line in lines] == ["one", "", "größer"]
    assert abs((db.now() - lines[0].time).total_seconds()) < 5


def test_a_reader_follows_from_the_last_line_it_saw(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, [str(number) for number in range(10)])
    newest = db.log.list(lease.run_id, limit=3)
    assert [line.text for line in newest] == ["7", "8", "9"]
    assert db.log.list(lease.run_id, after=newest[-1].line_id) == []
    db.log.append(lease, ["10", "11", "12"])
    after = db.log.list(lease.run_id, after=newest[-1].line_id, limit=2)
    assert [line.text for line in after] == ["10", "11"]


@pytest.mark.parametrize(
    "after", ["x", "", "-1", "1-", "1-2-3", "9" * 30, "+", "1\n", f"{2**64 - 1}-{2**64 - 1}"]
)
def test_a_made_up_line_id_is_refused(db: RedisDB, after: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        db.log.list("any", after=after)
    assert refused.value.details[0].field == "after"


def test_a_line_id_of_the_far_future_leads_to_nothing(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, ["line"])
    assert db.log.list(lease.run_id, after=f"{10**19 - 1}-{10**19 - 1}") == []


def test_a_log_keeps_its_newest_lines(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    db.log.append(lease, [str(number) for number in range(MAX_LINES + 2_000)])
    assert MAX_LINES <= int(str(raw.xlen(f"run:{lease.run_id}:log"))) < MAX_LINES + 200
    assert db.log.list(lease.run_id)[-1].text == str(MAX_LINES + 1_999)


def test_a_line_is_cut_and_made_text(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, ["x" * (MAX_LINE_CHARACTERS + 5), "a\ud800b"])
    long, odd = db.log.list(lease.run_id)
    assert long.text == "x" * MAX_LINE_CHARACTERS + " … (5 characters cut)"
    assert odd.text == "a?b"


def test_every_change_of_a_run_is_an_event(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1))
    db.runs.record_epoch(lease, epoch(1))
    db.queue.finish(lease, Status.DONE)
    db.queue.finish(lease, Status.DONE)
    events = db.events.list()
    assert [event.kind for event in events] == ["submitted", "claimed", "epoch", "done"]
    assert {event.run_id for event in events} == {lease.run_id}
    assert (events[1].worker, events[2].attempt, events[2].epoch) == (lease.worker_id, 1, 1)
    assert [event.kind for event in db.events.list(after=events[1].event_id)] == ["epoch", "done"]
    released = running(db, worker_id="w2")
    db.queue.release(released, reason="stop")
    again = running(db, worker_id="w3")
    raw.zadd("queue:leases", {again.run_id: 1})
    db.queue.requeue_expired(grace_s=0)
    assert [event.kind for event in db.events.list(limit=6)] == [
        *("submitted", "claimed", "released"),
        *("submitted", "claimed", "requeued"),
    ]


def test_older_lines_are_read_from_the_oldest_one_seen(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, [str(number) for number in range(10)])
    newest = db.log.list(lease.run_id, limit=3)
    before = db.log.list(lease.run_id, before=newest[0].line_id, limit=4)
    assert [line.text for line in before] == ["3", "4", "5", "6"]
    first = db.log.list(lease.run_id)[0]
    assert db.log.list(lease.run_id, before=first.line_id) == []
    assert db.log.list(lease.run_id, before="0") == db.log.list(lease.run_id, before="00-0") == []
    with pytest.raises(InvalidInput) as refused:
        db.log.list(lease.run_id, before="x")
    assert refused.value.details[0].field == "before"


def test_a_search_finds_lines_whatever_their_capitals(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, ["Loss 1", "STRASSE", "accuracy 2", "loss * 3", "straße"])
    found = db.log.search(lease.run_id, "LOSS")
    assert [line.text for line in found.lines] == ["Loss 1", "loss * 3"]
    assert found.older is None
    assert found.newest == db.log.list(lease.run_id)[-1].line_id
    assert [line.text for line in db.log.search(lease.run_id, "straße").lines] == ["STRASSE", "straße"]
    assert [line.text for line in db.log.search(lease.run_id, " * ").lines] == ["loss * 3"]
    assert db.log.search(lease.run_id, "nowhere").lines == []
    assert db.log.search("another", "loss").newest is None


def test_a_search_is_bounded_and_goes_on_where_it_stopped(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, ["needle", *["hay"] * MOST_SEARCHED, "needle too"])
    first = db.log.search(lease.run_id, "needle")
    assert [line.text for line in first.lines] == ["needle too"]
    assert first.older is not None
    second = db.log.search(lease.run_id, "needle", before=first.older)
    assert [line.text for line in second.lines] == ["needle"]
    assert second.older is None
    pages: list[str] = []
    older: str | None = None
    while True:
        page = db.log.search(lease.run_id, "hay", before=older, limit=300)
        pages = [*[line.line_id for line in page.lines], *pages]
        older = page.older
        if older is None:
            break
    assert pages == [line.line_id for line in db.log.list(lease.run_id, limit=5_000) if line.text == "hay"]


def test_a_search_follows_what_comes_later(db: RedisDB) -> None:
    lease = running(db)
    db.log.append(lease, ["a 1", "b"])
    place = db.log.search(lease.run_id, "a").newest
    assert db.log.search(lease.run_id, "a", after=place).newest == place
    db.log.append(lease, ["b", *(f"a {number}" for number in range(2, 5)), "b"])
    found = db.log.search(lease.run_id, "a", after=place, limit=2)
    assert [line.text for line in found.lines] == ["a 2", "a 3"]
    rest = db.log.search(lease.run_id, "a", after=found.newest)
    assert [line.text for line in rest.lines] == ["a 4"]
    assert rest.newest == db.log.list(lease.run_id)[-1].line_id
