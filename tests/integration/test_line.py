"""How many runs are claimed before a waiting one is what claims then show."""

from __future__ import annotations

import pytest

from redis_db import RedisDB
from schema import Ahead, Requires, Run, RunOptions
from store import line
from tests.records import claim


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
    assert [counted[run.run_id] for run in runs] == [Ahead(0), Ahead(0), Ahead(0), Ahead(1)]


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
