"""How many runs are claimed before a waiting one is what claims then show."""

from __future__ import annotations

import pytest

from redis_db import RedisDB
from schema import Ahead, Requires, Run, RunOptions, requirement_queue
from store import line
from tests.records import TORCH_WORKER, claim
from work.routing import list_queues


def submit(db: RedisDB, **options: object) -> Run:
    return db.queue.submit({"num_epochs": 1}, RunOptions.model_validate(options))


def test_the_count_is_the_order_in_which_runs_are_claimed(db: RedisDB) -> None:
    runs = [submit(db, priority=priority) for priority in ("normal", "high", "normal", "high")]
    db.controls.pause(runs[2].run_id)
    db.controls.resume(runs[2].run_id)

    counted = db.line.count_before(runs)

    order = sorted(counted, key=lambda run_id: counted[run_id].runs)
    assert [ahead.runs for ahead in counted.values() if ahead.is_exact] != []
    assert sorted(ahead.runs for ahead in counted.values()) == [0, 1, 2, 3]
    assert [claim(db, worker_id=name).run_id for name in "abcd"] == order


def test_queues_and_requirements_are_counted_apart(db: RedisDB) -> None:
    needs = Requires(gpus=1)
    runs = [submit(db), submit(db, queue="night"), submit(db, requires=needs), submit(db, requires=needs)]
    counted = db.line.count_before(runs)
    may_wait = Ahead(0, is_exact=False)
    assert [counted[run.run_id] for run in runs] == [may_wait, Ahead(0), Ahead(0), Ahead(1)]


def test_urgent_runs_come_before_others_with_requirements_and_the_count_says_so(db: RedisDB) -> None:
    needs, more = Requires(gpus=1), Requires(gpus=2)
    options: list[dict[str, object]] = [
        {"requires": more},
        {"requires": needs},
        {},
        {"priority": "high"},
        {"requires": more, "priority": "high"},
        {"requires": needs, "priority": "high"},
    ]
    runs = [submit(db, **chosen) for chosen in options]
    counted = db.line.count_before(runs)
    assert [counted[run.run_id] for run in runs] == [
        Ahead(2, is_exact=False),  # both urgent ones it cannot but wait for, and those that need one GPU
        Ahead(2, is_exact=False),
        Ahead(1, is_exact=False),
        Ahead(0, is_exact=False),
        Ahead(0, is_exact=False),
        Ahead(0),
    ]
    assert [db.line.count_before([run])[run.run_id] for run in runs] == [counted[run.run_id] for run in runs]
    queues = list_queues(TORCH_WORKER.model_copy(update={"gpus": 2}), db.queue.list_requirements())
    claimed = [db.queue.claim(queues, worker_id=name, lease_s=60) for name in "abcdef"]
    order = [runs[number].run_id for number in (5, 4, 3, 1, 0, 2)]
    assert [lease and lease.run_id for lease in claimed] == order


def test_urgent_runs_with_requirements_alone_do_not_blur_the_count_of_others(db: RedisDB) -> None:
    urgent, special = submit(db, priority="high"), submit(db, requires=Requires(gpus=1))
    other = submit(db, queue="night")
    counted = db.line.count_before([urgent, special, other])
    assert [counted[run.run_id] for run in (urgent, special, other)] == [Ahead(0), Ahead(1), Ahead(0)]


def test_the_work_grows_with_the_runs_and_not_with_runs_times_queues(
    db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def note(queue: str, requires: Requires | None) -> str:
        looked.append(queue)
        return requirement_queue(queue, requires)

    monkeypatch.setattr(line, "requirement_queue", note)
    runs = [submit(db, queue=f"q{number}") for number in range(40)]
    assert db.line.count_before(runs) == {run.run_id: Ahead(0) for run in runs}
    assert len(looked) == len(runs)


def test_a_run_on_no_list_is_left_out_and_no_runs_cost_nothing(db: RedisDB) -> None:
    taken, waits = submit(db), submit(db)
    claim(db)
    assert db.line.count_before([taken, waits]) == {waits.run_id: Ahead(0)}
    assert db.line.count_before([]) == {}


def test_beyond_the_window_of_both_ends_the_count_is_a_lower_bound(
    db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "WINDOW", 2)
    urgent, runs = submit(db, priority="high"), [submit(db) for _ in range(6)]
    counted = db.line.count_before([urgent, *runs])
    assert counted[urgent.run_id] == Ahead(0)
    assert [counted[run.run_id] for run in runs] == [
        Ahead(1), Ahead(2), Ahead(3, is_exact=False), Ahead(3, is_exact=False), Ahead(5), Ahead(6),
    ]  # fmt: skip
    assert claim(db).run_id == urgent.run_id
    claim(db, worker_id="b")
    assert db.line.count_before(runs) == {
        run.run_id: ahead
        for run, ahead in zip(
            runs[1:],
            [Ahead(0), Ahead(1), Ahead(2, is_exact=False), Ahead(3), Ahead(4)],
            strict=True,
        )
    } | {runs[0].run_id: Ahead(2, is_exact=False)}
