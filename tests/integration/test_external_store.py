"""Runs that their own scripts report, in the store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import JsonValue

from errors import Conflict, InvalidInput, NotFound
from redis_db import RedisDB
from schema import (
    ExperimentRequest,
    LinesRequest,
    MetricPoints,
    PointsRequest,
    Run,
    RunError,
    SortField,
    StatedLine,
    Status,
    day_of,
)
from store import scripts
from store.external import MAX_NOTES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO_S = 1_000.0
SILENT_S = 900.0


def begin(db: RedisDB, **more: Any) -> str:
    return db.external.begin(ExperimentRequest.model_validate({"name": "mine", **more})).run.run_id


def batch(seq: int = 1, *, session: str = "s", **values: list[Any]) -> PointsRequest:
    points = {
        name: MetricPoints(steps=list(range(len(own))), values=own, times=[0.0] * len(own))
        for name, own in values.items()
    }
    return PointsRequest(session=session, seq=seq, points=points)


def record(db: RedisDB, run_id: str, request: PointsRequest) -> int:
    return db.metrics.record(run_id, request, at=NOON).accepted


def lines(seq: int, *texts: str) -> LinesRequest:
    stated = [StatedLine(time=1_000.5 + place, text=text) for place, text in enumerate(texts)]
    return LinesRequest(session="s", seq=seq, lines=stated)


def today(db: RedisDB) -> str:
    return day_of(db.now())


def fall_silent(raw: redis.Redis, run_id: str) -> None:
    """Wind the clock of the last report back by far more than SILENT_S."""
    raw.zadd("runs:external", {run_id: LONG_AGO_S})
    raw.hset(f"run:{run_id}", "heard_at", LONG_AGO_S)


def test_a_silent_run_fails_and_says_why(db: RedisDB, raw: redis.Redis) -> None:
    silent, other = begin(db), begin(db)
    fall_silent(raw, silent)
    assert db.external.end_silent(SILENT_S) == [silent]
    assert db.external.end_silent(SILENT_S) == []
    run = db.runs.get(silent)
    assert (run.status, run.error and run.error.kind) == (Status.FAILED, "Silent")
    assert run.ended_at is not None
    assert db.runs.get(other).status is Status.RUNNING
    assert [event.kind for event in db.events.list() if event.run_id == silent] == ["started", "failed"]


@pytest.mark.parametrize("word", ["points", "sign of life", "lines", "resume"])
def test_a_silent_run_goes_on_once_it_is_heard_of(db: RedisDB, raw: redis.Redis, word: str) -> None:
    run_id = begin(db)
    record(db, run_id, batch(loss=[1.0]))
    fall_silent(raw, run_id)
    db.external.end_silent(SILENT_S)
    speak: dict[str, Callable[[], object]] = {
        "points": lambda: record(db, run_id, batch(2, loss=[0.5])),
        "sign of life": lambda: record(db, run_id, batch(2)),
        "lines": lambda: db.external.append_log(run_id, lines(1, "here")),
        "resume": lambda: db.external.reopen(run_id),
    }
    speak[word]()
    run = db.runs.get(run_id)
    assert (run.status, run.error, run.ended_at) == (Status.RUNNING, None, None)
    assert "heard of again" in (run.status_reason or "")
    assert (run.duration_s or 0) < 60, "the silence is none of its duration"
    assert raw.zscore("runs:external", run_id) == pytest.approx(db.now().timestamp(), abs=60)
    assert run.run_id in {row.run_id for row in db.runs.list(status=Status.RUNNING).runs}
    assert "reopened" in [event.kind for event in db.events.list()]
    assert db.external.end_silent(SILENT_S) == []


def test_a_batch_that_came_before_wakes_no_silent_run(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db)
    record(db, run_id, batch(loss=[1.0]))
    fall_silent(raw, run_id)
    db.external.end_silent(SILENT_S)
    assert record(db, run_id, batch(loss=[1.0])) == 0
    assert db.runs.get(run_id).status is Status.FAILED


def test_a_silent_run_that_was_to_be_cancelled_is(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db)
    db.controls.cancel(run_id)
    fall_silent(raw, run_id)
    db.external.end_silent(SILENT_S)
    run = db.runs.get(run_id)
    assert (run.status, run.request, run.error) == (Status.CANCELLED, None, None)
    reply = db.metrics.record(run.run_id, batch(loss=[1.0]), at=NOON)
    assert reply.request == "cancel", "what was asked for is asked again"
    assert db.runs.get(run_id).request == "cancel"


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.CANCELLED])
def test_a_silent_run_may_still_end_otherwise(db: RedisDB, raw: redis.Redis, status: Any) -> None:
    run_id = begin(db)
    fall_silent(raw, run_id)
    db.external.end_silent(SILENT_S)
    error = RunError(kind="ValueError", message="bad") if status is Status.FAILED else None
    run = db.external.end(run_id, status, error=error)
    assert (run.status, run.error) == (status, error)
    assert db.runs.list(status=status).total == 1
    assert db.runs.list().counts == {**dict.fromkeys(Status, 0), status: 1}


def test_an_end_that_was_stated_is_kept(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db)
    db.external.end(run_id, Status.DONE)
    assert raw.zcard("runs:external") == 0
    with pytest.raises(Conflict, match="done"):
        db.external.end(run_id, Status.CANCELLED)
    record(db, run_id, batch(accuracy=[0.5]))
    db.external.append_log(run_id, lines(1, "the last words"))
    run = db.runs.get(run_id)
    assert (run.status, run.best_accuracy) == (Status.DONE, 0.5)
    assert raw.zcard("runs:external") == 0


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("pause", "paused"),
        ("resume", "resumed"),
        ("run_now", "resumed"),
        ("preempt", "preempted"),
        ("retry", "retried"),
    ],
)
def test_what_only_the_queue_can_do_is_refused(db: RedisDB, wish: str, words: str) -> None:
    run_id = begin(db)
    for _ in range(2):
        before = db.runs.get(run_id)
        with pytest.raises(Conflict, match=f"its own script and cannot be {words}"):
            getattr(db.controls, wish)(run_id)
        with pytest.raises(Conflict, match="given a priority"):
            db.controls.set_priority(run_id, "high")
        assert db.runs.get(run_id) == before
        db.external.end(run_id, Status.FAILED)


def test_a_worker_never_gets_such_a_run(db: RedisDB) -> None:
    begin(db)
    assert db.queue.claim(["default"], worker_id="w", lease_s=60) is None
    assert db.queue.length() == 0


def test_deleting_a_run_leaves_nothing_of_it(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db, params={"lr": 1})
    record(db, run_id, batch(energy_kwh=[0.25, 0.25], loss=[1.0]))
    db.external.append_log(run_id, lines(1, "one", "two"))
    db.external.add_note(run_id, "mine")
    with pytest.raises(Conflict, match="cancel it first"):
        db.controls.delete(run_id)
    db.external.end(run_id, Status.DONE)
    going = db.controls.preview_deletion(run_id)
    assert (going.points, going.log_lines, going.notes, going.energy_kwh) == (3, 2, 1, 0.5)
    assert db.controls.delete(run_id) == going
    left = {str(key) for key in raw.keys("*")}
    days = {f"totals:day:{day}" for day in ("2026-03-01", today(db))}
    totals = {"totals:all", "totals:project:default", "totals:projects", *days}
    assert left == {"counters", "events", *totals}
    assert db.runs.list().total == 0


def test_lines_have_the_time_their_script_stated(db: RedisDB) -> None:
    run_id = begin(db)
    assert db.external.append_log(run_id, lines(1, "one", "two")).accepted == 2
    assert db.external.append_log(run_id, lines(1, "one", "two")).accepted == 0
    assert db.external.append_log(run_id, lines(2, "x" * 5_000)).accepted == 1
    found = db.log.list(run_id)
    assert [line.text for line in found[:2]] == ["one", "two"]
    assert [line.time.timestamp() for line in found[:2]] == [1_000.5, 1_001.5]
    assert "1000 characters cut" in found[2].text


def test_lines_and_points_are_counted_apart(db: RedisDB) -> None:
    run_id = begin(db)
    assert record(db, run_id, batch(1, loss=[1.0])) == 1
    assert db.external.append_log(run_id, lines(1, "one")).accepted == 1
    assert record(db, run_id, batch(2, loss=[1.0])) == 1
    assert [line.text for line in db.log.list(run_id)] == ["one"]


def test_a_changed_param_is_told_in_the_log(db: RedisDB) -> None:
    run_id = begin(db, params={"lr": 0.1, "model": {"depth": 18}})
    db.external.set_params(run_id, {"lr": 0.01, "model": {"depth": 18}, "num_epochs": 7})
    run = db.runs.get(run_id)
    assert run.hyper_params == {"lr": 0.01, "model": {"depth": 18}, "num_epochs": 7}
    assert run.num_epochs == 7
    assert [line.text for line in db.log.list(run_id)] == ["param lr: 0.1 → 0.01"]


def nested(depth: int) -> JsonValue:
    return {"a": nested(depth - 1)} if depth else 1


def test_params_have_a_largest_size_and_depth(db: RedisDB) -> None:
    run_id = begin(db, params={"deep": nested(7)})
    for params, reason in (({"deep": nested(8)}, "8 deep"), ({"text": "é" * 33_000}, "65536 bytes")):
        with pytest.raises(InvalidInput, match=reason):
            db.external.set_params(run_id, params)
        with pytest.raises(InvalidInput, match=reason):
            begin(db, params=params)
    assert db.runs.get(run_id).hyper_params == {"deep": nested(7)}
    assert db.runs.list().total == 1


def test_tags_are_added_and_removed_and_a_key_has_one_value(db: RedisDB) -> None:
    run_id = begin(db, tags=["a", "arch=vgg"])
    db.external.set_tags(run_id, add=["b", "arch=resnet50", "a"], remove=["gone"])
    assert db.runs.get(run_id).options.tags == ("b", "arch=resnet50", "a")
    db.external.set_tags(run_id, add=[], remove=["a", "b", "arch=resnet50"])
    assert db.runs.get(run_id).options.tags == ()
    with pytest.raises(InvalidInput, match="32 tags"):
        db.external.set_tags(run_id, add=[f"t{number}" for number in range(33)], remove=[])


def test_a_run_of_the_queue_has_tags_and_notes_too(db: RedisDB) -> None:
    run = db.queue.submit({"num_epochs": 1})
    db.external.set_tags(run.run_id, add=["good"], remove=[])
    db.external.add_note(run.run_id, "look at this")
    assert db.runs.get(run.run_id).options.tags == ("good",)
    assert [note.text for note in db.external.list_notes(run.run_id)] == ["look at this"]
    with pytest.raises(NotFound):
        db.external.add_note("nobody", "lost")


def test_a_run_has_a_largest_number_of_notes(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db)
    for _ in range(MAX_NOTES):
        raw.xadd(f"run:{run_id}:notes", {"text": "note"})
    with pytest.raises(Conflict, match="1000 notes"):
        db.external.add_note(run_id, "one too many")
    assert len(db.external.list_notes(run_id)) == MAX_NOTES


def test_tags_that_are_set_at_the_same_time_are_all_kept(db: RedisDB) -> None:
    run_id = begin(db)
    threads = [
        threading.Thread(target=db.external.set_tags, args=(run_id,), kwargs={"add": [f"t{n}"], "remove": []})
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(db.runs.get(run_id).options.tags) == {f"t{n}" for n in range(8)}


def test_a_session_too_many_is_refused(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db)
    raw.hset(f"run:{run_id}:sources", mapping={f"x{number}": 1 for number in range(10_000)})
    with pytest.raises(InvalidInput, match="sessions"):
        record(db, run_id, batch(loss=[1.0]))
    with pytest.raises(InvalidInput, match="sessions"):
        db.external.append_log(run_id, lines(1, "one"))
    with pytest.raises(InvalidInput, match="sessions"):
        db.external.reopen(run_id, session="s")
    assert record(db, run_id, batch(2, session="x1", loss=[1.0])) == 1


def test_the_time_in_which_a_script_is_heard_of_is_its_duration(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db)
    raw.hset(f"run:{run_id}", "heard_at", db.now().timestamp() - 100)
    record(db, run_id, batch(1))
    assert db.runs.get(run_id).duration_s == pytest.approx(100, abs=20)
    db.external.end(run_id, Status.DONE)
    raw.hset(f"run:{run_id}", "heard_at", LONG_AGO_S)
    db.external.reopen(run_id)
    record(db, run_id, batch(2))
    assert db.runs.get(run_id).duration_s == pytest.approx(100, abs=20)


def test_a_script_that_only_logs_has_a_duration_too(db: RedisDB, raw: redis.Redis) -> None:
    run_id, other = begin(db, project="vision"), begin(db)
    raw.hset(f"run:{run_id}", "heard_at", db.now().timestamp() - 100)
    db.external.append_log(run_id, lines(1, "one"))
    duration_s = db.runs.get(run_id).duration_s
    assert duration_s == pytest.approx(100, abs=20)
    assert [row.run_id for row in db.runs.list(sort=SortField.DURATION_S).runs] == [run_id, other]
    totals = (
        raw.hget("totals:project:vision", "duration_s"),
        raw.hget(f"totals:day:{today(db)}", "duration_s"),
    )
    assert [float(str(total)) for total in totals] == pytest.approx([duration_s] * 2)
    record(db, run_id, batch(accuracy=[0.5]))
    assert (db.runs.get(run_id).duration_s or 0) >= (duration_s or 0)
    assert [row.run_id for row in db.runs.list(sort=SortField.DURATION_S).runs] == [run_id, other]
    assert db.runs.list().total == 2


def test_scripts_know_the_day_of_a_time(raw: redis.Redis) -> None:
    shared = (Path(scripts.__file__).parent / "lib.lua").read_text("utf-8")
    times = [86_400 * day + second for day in range(0, 70_000, 13) for second in (0, 86_399)]
    plain = redis.Redis(connection_pool=raw.connection_pool)  # the other one puts a prefix before keys
    days = plain.eval(
        f"{shared}\nlocal days = {{}}\nfor i, time in ipairs(ARGV) do days[i] = day_of(time) end return days",
        0,
        *map(str, times),
    )
    assert days == [f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}" for time in times]


def test_an_unknown_run_is_not_found(db: RedisDB) -> None:
    for call in (
        lambda: db.external.reopen("nobody"),
        lambda: db.external.end("nobody", Status.DONE),
        lambda: db.external.set_params("nobody", {"a": 1}),
        lambda: db.external.set_tags("nobody", add=["a"], remove=[]),
        lambda: db.external.append_log("nobody", lines(1, "one")),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_run_of_the_queue_is_not_reported(db: RedisDB, raw: redis.Redis) -> None:
    run: Run = db.queue.submit({"num_epochs": 1})
    for call in (
        lambda: db.external.reopen(run.run_id),
        lambda: db.external.end(run.run_id, Status.DONE),
        lambda: db.external.append_log(run.run_id, lines(1, "one")),
        lambda: db.metrics.record(run.run_id, batch(loss=[1.0]), at=NOON),
    ):
        with pytest.raises(Conflict, match="its worker alone"):
            call()
    assert db.runs.get(run.run_id) == run
    assert not raw.exists(f"run:{run.run_id}:metrics")
