"""How many CPU threads a run gets, by who else works on its host."""

from __future__ import annotations

import pytest

from redis_db import RedisDB
from tests.records import TORCH_WORKER
from work.threads import ThreadShare


def add_workers(db: RedisDB, *hosts: str) -> None:
    for number, host in enumerate(hosts):
        worker = TORCH_WORKER.model_copy(update={"worker_id": f"w-{number}", "host": host})
        db.workers.beat(worker, ttl_s=60)


@pytest.mark.parametrize(
    ("hosts", "threads"),
    [
        ((), 8),
        (("here",), 8),
        (("here", "elsewhere"), 8),
        (("here",) * 2, 4),
        (("here",) * 3, 2),
        (("here",) * 9, 1),
    ],
)
def test_the_live_workers_of_a_host_share_its_cores(
    db: RedisDB, hosts: tuple[str, ...], threads: int
) -> None:
    add_workers(db, *hosts)
    share = ThreadShare(db, host="here", cores=8)
    assert (share.choose(), share.latest) == (threads, threads)


def test_a_worker_that_is_told_its_threads_keeps_them(db: RedisDB) -> None:
    add_workers(db, "here", "here")
    assert ThreadShare(db, host="here", cores=8, fixed=6).choose() == 6


def test_a_worker_that_came_or_went_counts_from_the_next_run_on(db: RedisDB) -> None:
    share = ThreadShare(db, host="here", cores=8)
    add_workers(db, "here", "here")
    assert share.choose() == 4
    db.workers.remove("w-1")
    assert share.choose() == 8


def test_while_redis_is_away_the_last_share_holds(db: RedisDB) -> None:
    share = ThreadShare(db, host="here", cores=8)
    add_workers(db, "here", "here")
    share.choose()
    with RedisDB("redis://127.0.0.1:1/0") as nowhere:
        share._db = nowhere
        assert share.choose() == 4
