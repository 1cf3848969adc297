"""The sorted list of runs: its order, its pages, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import InvalidInput
from redis_db import RedisDB
from schema import Run, SortField, Status
from store.paging import Listing, Order, Place
from tests.records import epoch, running

# Ids that differ in length, case and punctuation only, which a locale would order otherwise.
IDS = ("a", "ab", "a-b", "a_b", "A", "Ab", "a0", "0a", "0", "00", "B", "b")
ORDERS: tuple[Order, ...] = ("asc", "desc")


def walk(
    db: RedisDB, sort: SortField, order: Order, limit: int, status: Status | None = None
) -> list[tuple[str, ...]]:
    """Every page of a list."""
    pages, cursor = [], None
    while True:
        page = db.runs.list(sort, order=order, status=status, limit=limit, cursor=cursor)
        pages.append(tuple(run.run_id for run in page.runs))
        cursor = page.cursor
        if cursor is None:
            return pages
        assert len(pages) < 50, "a walk that does not end"


def by_brute_force(runs: Sequence[Run], order: Order) -> list[str]:
    """Sort by energy, equal ones by id; real runs first, of each kind those without last, blank by time."""
    simulated = [run for run in runs if run.simulated]
    if simulated and len(simulated) < len(runs):
        real = [run for run in runs if not run.simulated]
        return by_brute_force(real, order) + by_brute_force(simulated, order)
    key = lambda run: (run.energy_kwh, run.run_id)  # noqa: E731 # two sorts share it
    is_reversed = order == "desc"
    trained = [run for run in runs if run.duration_s is not None]
    valued = sorted((run for run in trained if run.energy_kwh is not None), key=key)
    unknown = sorted((run for run in trained if run.energy_kwh is None), key=lambda run: run.run_id)
    blank = sorted((run for run in runs if run.duration_s is None), key=lambda run: run.time_added)
    parts = [part[::-1] if is_reversed else part for part in (valued, unknown, blank)]
    return [run.run_id for part in parts for run in part]


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    energies=st.lists(st.sampled_from(["blank", None, None, 0.1, 0.5, 2.0]), max_size=12),
    limit=st.integers(1, 13),
    order=st.sampled_from(ORDERS),
    ended=st.sets(st.integers(0, 11)),
    simulated=st.sets(st.integers(0, 11)),
)
def test_a_walk_gives_every_run_once_in_the_order_of_brute_force(
    db: RedisDB,
    raw: redis.Redis,
    energies: list[float | str | None],
    limit: int,
    order: Order,
    ended: set[int],
    simulated: set[int],
) -> None:
    raw.flushdb()
    for number, energy in enumerate(energies):
        lease = running(db, worker_id=f"w{number}", run_id=IDS[number], is_simulated=number in simulated)
        if energy != "blank":
            db.runs.record_epoch(lease, epoch(1, energy_kwh=energy))
        if number in ended:
            db.queue.finish(lease, Status.DONE)
    everything = db.runs.list().runs
    for status in (None, Status.DONE, Status.RUNNING):
        wanted = by_brute_force([run for run in everything if status in (None, run.status)], order)
        pages = walk(db, SortField.ENERGY_KWH, order, limit, status)
        assert [run_id for page in pages for run_id in page] == wanted
        assert all(len(page) == limit for page in pages[:-1])
        whole = db.runs.list(SortField.ENERGY_KWH, order=order, status=status)
        assert ([run.run_id for run in whole.runs], whole.total) == (wanted, len(wanted))
        assert whole.cursor is None


@pytest.mark.parametrize("sort", list(SortField))
def test_every_field_sorts_by_its_own_value(db: RedisDB, sort: SortField) -> None:
    for number in (3, 1, 2):
        lease = running(db, worker_id=f"w{number}")
        values = {"test_accuracy": number / 10, "test_loss": number, "duration_s": number}
        db.runs.record_epoch(lease, epoch(1, energy_kwh=number**2, co2_g=number, **values))
    for order in ORDERS:
        found = [getattr(run, sort) for run in db.runs.list(sort, order=order).runs]
        assert found == sorted(found, reverse=order == "desc")
        assert len(set(found)) == 3


def test_the_newest_run_comes_first_and_new_ones_do_not_disturb_a_walk(db: RedisDB) -> None:
    ids = [db.queue.submit({"num_epochs": 1}).run_id for _ in range(5)]
    first = db.runs.list(limit=2)
    db.queue.submit({"num_epochs": 1})
    second = db.runs.list(limit=2, cursor=first.cursor)
    last = db.runs.list(limit=2, cursor=second.cursor)
    found = [run.run_id for page in (first, second, last) for run in page.runs]
    assert found == ids[::-1]
    assert (first.total, second.total, last.cursor) == (5, 6, None)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort", [sort for sort in SortField if sort is not SortField.TIME_ADDED])
def test_no_simulated_run_is_ever_ranked_above_a_real_one(db: RedisDB, sort: SortField, order: Order) -> None:
    for number, is_simulated in enumerate((False, True, False, True)):
        lease = running(db, worker_id=f"w{number}", run_id=f"r{number}", is_simulated=is_simulated)
        # Of the two real runs one has no figures at all, of the simulated ones both have the best of all.
        if number:
            figures = {"test_accuracy": number / 10, "test_loss": 1 / number, "duration_s": number}
            db.runs.record_epoch(lease, epoch(1, energy_kwh=1 / number, co2_g=1 / number, **figures))

    found = [run.run_id for run in db.runs.list(sort, order=order, limit=4).runs]

    assert found[:2] == (["r2", "r0"])
    assert {*found[2:]} == {"r1", "r3"}
    assert [run_id for page in walk(db, sort, order, 1) for run_id in page] == found
    assert db.runs.list(sort, order=order, limit=2).total == 4
    assert [run.run_id for run in db.runs.list(order="asc").runs] == ["r0", "r1", "r2", "r3"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_walk_goes_on_where_the_last_seen_run_has_moved_away(db: RedisDB, order: Order) -> None:
    leases = [running(db, worker_id=f"w{number}") for number in range(6)]
    for number, lease in enumerate(leases):
        db.runs.record_epoch(lease, epoch(1, test_loss=number // 2))
    wanted = [run.run_id for run in db.runs.list(SortField.LAST_LOSS, order=order).runs]
    first = db.runs.list(SortField.LAST_LOSS, order=order, status=Status.RUNNING, limit=3)
    moved = next(lease for lease in leases if lease.run_id == first.runs[-1].run_id)
    db.queue.finish(moved, Status.DONE)
    rest = db.runs.list(SortField.LAST_LOSS, order=order, status=Status.RUNNING, cursor=first.cursor)
    assert [run.run_id for run in (*first.runs, *rest.runs)] == wanted


def test_a_page_among_ten_thousand_equal_values_costs_as_much_as_any_other(
    db: RedisDB, raw: redis.Redis
) -> None:
    for number in range(4_980, 5_021):
        db.queue.submit({"num_epochs": 1}, run_id=f"r{number:05}")
    raw.zadd("runs:by:last_loss:done", {f"r{number:05}": 0.5 for number in range(10_000)})
    for order in ORDERS:
        raw.config_resetstat()
        cursor = Listing(SortField.LAST_LOSS, order, None).encode_cursor(Place(after=("0.5", "r05000")))
        page = db.runs.list(SortField.LAST_LOSS, order=order, limit=10, cursor=cursor)
        assert page.runs[0].run_id == ("r05001" if order == "asc" else "r04999")
        calls = sum(command["calls"] for command in raw.info("commandstats").values())
        assert calls < 100


@pytest.mark.parametrize("is_simulated", [False, True])
def test_a_run_from_before_there_were_blank_runs_is_listed_and_moves_on(
    db: RedisDB, raw: redis.Redis, is_simulated: bool
) -> None:
    db.queue.submit({"num_epochs": 1, "simulated": is_simulated}, run_id="a")
    kind = "simulated:" if is_simulated else ""
    raw.delete(f"runs:{kind}blank:waiting")
    raw.zadd("runs:by:time_added:waiting", {"a": 1})
    for field in set(SortField) - {SortField.TIME_ADDED}:
        raw.zadd(f"runs:{kind}by:{field}:waiting", {"a": "-inf"})
    for sort in SortField:
        assert [run.run_id for run in db.runs.list(sort, status=Status.WAITING).runs] == ["a"]
    assert db.queue.claim(["default"], worker_id="w", lease_s=60) is not None
    assert set(raw.scan_iter("runs:*")) == {"runs:by:time_added", f"runs:{kind}blank:running"}


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(db: RedisDB, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        db.runs.list(limit=limit)


def test_a_cursor_of_somebody_else_is_refused(db: RedisDB) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        db.runs.list(cursor="bm9wZQ", limit=1)
    for sort, stage in ((SortField.TIME_ADDED, 1), (SortField.CO2_G, 4), (SortField.CO2_G, -1)):
        cursor = Listing(sort, "desc", None).encode_cursor(Place(stage))
        with pytest.raises(InvalidInput, match="cursor"):
            db.runs.list(sort, cursor=cursor, limit=1)


def test_an_index_entry_without_its_run_is_passed_over(db: RedisDB, raw: redis.Redis) -> None:
    ids = [db.queue.submit({"num_epochs": 1}).run_id for _ in range(4)]
    raw.delete(f"run:{ids[1]}", f"run:{ids[2]}")
    assert [run.run_id for run in db.runs.list(limit=2).runs] == [ids[3], ids[0]]


def test_a_list_longer_than_one_call_is_complete(db: RedisDB) -> None:
    ids = [db.queue.submit({"num_epochs": 1}).run_id for _ in range(1_101)]
    assert [run.run_id for run in db.runs.list().runs] == ids[::-1]
    assert len(db.runs.list(limit=700).runs) == 700
