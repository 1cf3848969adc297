"""Cancel, pause, resume, preempt, reorder, retry and delete, for runs in every status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis

from errors import Conflict, NotFound
from redis_db import RedisDB
from schema import Lease, Request, Requires, RunError, RunOptions, SortField, Status
from tests.records import WORKER, claim, epoch, extra, running

PARAMS = {"num_epochs": 3}
LATER = RunOptions(start_at=datetime(2100, 1, 1, tzinfo=UTC))
RETRYABLE = RunError(kind="OSError", message="the disk is full", is_retryable=True)
CONTROLS = ("cancel", "pause", "resume", "preempt", "retry", "delete", "preview_deletion")


def put(db: RedisDB, status: Status, run_id: str = "a") -> None:
    """Bring a run to a status, by the ways that lead there."""
    if status is Status.DEFERRED:
        db.queue.submit(PARAMS, LATER, run_id=run_id)
    elif status is Status.WAITING:
        db.queue.submit(PARAMS, run_id=run_id)
    elif status is Status.PAUSED:
        db.queue.submit(PARAMS, run_id=run_id)
        db.controls.pause(run_id)
    elif status is Status.CANCELLED:
        db.queue.submit(PARAMS, run_id=run_id)
        db.controls.cancel(run_id)
    else:
        lease = running(db, run_id=run_id)
        if status is Status.DONE or status is Status.FAILED:
            db.queue.finish(lease, status)


def call(db: RedisDB, control: str, run_id: str = "a") -> object:
    method: Callable[[str], object] = getattr(db.controls, control)
    return method(run_id)


ALLOWED = {
    Status.DEFERRED: {"cancel", "pause", "resume"},
    Status.WAITING: {"cancel", "pause", "resume", "retry"},
    Status.RUNNING: {"cancel", "pause", "resume", "preempt", "retry"},
    Status.PAUSED: {"cancel", "pause", "resume"},
    Status.DONE: {"delete", "preview_deletion"},
    Status.FAILED: {"retry", "delete", "preview_deletion"},
    Status.CANCELLED: {"cancel", "retry", "delete", "preview_deletion"},
}


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("status", list(Status))
def test_a_control_works_where_it_can_and_is_refused_elsewhere_without_a_change(
    db: RedisDB, raw: redis.Redis, status: Status, control: str
) -> None:
    put(db, status)
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    if control in ALLOWED[status]:
        call(db, control)
        return
    with pytest.raises(Conflict, match="Run a is"):
        call(db, control)
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before


@pytest.mark.parametrize("control", CONTROLS)
def test_what_does_not_exist_is_not_found(db: RedisDB, raw: redis.Redis, control: str) -> None:
    with pytest.raises(NotFound, match="missing"):
        call(db, control, "missing")
    with pytest.raises(NotFound, match="missing"):
        db.controls.set_priority("missing", "high")
    assert raw.dbsize() == 0


@pytest.mark.parametrize("control", ["cancel", "pause", "resume", "preempt", "retry"])
@pytest.mark.parametrize("status", list(Status))
def test_a_control_whose_reply_was_lost_is_repeated_without_effect(
    db: RedisDB, raw: redis.Redis, status: Status, control: str
) -> None:
    put(db, status)
    if control in ALLOWED[status]:
        first = call(db, control)
        before = {key: raw.dump(key) for key in raw.scan_iter()}
        assert call(db, control) == first
        assert {key: raw.dump(key) for key in raw.scan_iter()} == before


@pytest.mark.parametrize("status", [Status.WAITING, Status.DEFERRED, Status.PAUSED])
def test_a_run_that_nobody_trains_is_cancelled_at_once(db: RedisDB, raw: redis.Redis, status: Status) -> None:
    put(db, status)
    run = db.controls.cancel("a")
    assert run == db.runs.get("a")
    assert (run.status, run.status_reason) == (Status.CANCELLED, "cancelled on request")
    assert (run.due_at, run.paused_at, run.ended_at is None) == (None, None, False)
    assert raw.exists("queue:requests", "queue:deferred", "queue:paused", "queue:demand") == 0
    assert db.queue.claim(["default"], worker_id=WORKER, lease_s=60) is None


def test_a_waiting_run_leaves_its_list_when_it_is_cancelled(db: RedisDB, raw: redis.Redis) -> None:
    for run_id in ("a", "b", "c"):
        db.queue.submit(PARAMS, RunOptions(queue="gpu", priority="high"), run_id=run_id)
    db.controls.cancel("b")
    assert raw.lrange("queue:requests:gpu:high", 0, -1) == ["c", "a"]
    assert raw.smembers("queue:demand") == {"a", "c"}


@pytest.mark.parametrize("control", ["cancel", "pause", "preempt"])
def test_the_worker_of_a_running_run_hears_what_is_asked_for(db: RedisDB, control: str) -> None:
    lease = running(db, run_id="a")
    assert db.queue.renew(lease, lease_s=60) is None
    call(db, control)
    run = db.runs.get("a")
    assert (run.status, run.request) == (Status.RUNNING, control)
    assert [db.queue.renew(lease, lease_s=60) for _ in range(2)] == [Request(control)] * 2


@pytest.mark.parametrize(
    ("control", "status", "reason", "end_reason"),
    [
        ("cancel", Status.CANCELLED, "cancelled on request", "cancelled"),
        ("pause", Status.PAUSED, "paused on request", "paused"),
        ("preempt", Status.WAITING, "stopped", "preempted"),
    ],
)
def test_a_released_run_is_where_it_was_asked_to_be(
    db: RedisDB, raw: redis.Redis, control: str, status: Status, reason: str, end_reason: str
) -> None:
    lease = running(db, run_id="a")
    db.runs.record_epoch(lease, epoch(1))
    call(db, control)
    assert [db.queue.release(lease, reason="stopped") for _ in range(2)] == [status] * 2
    run = db.runs.get("a")
    assert (run.status, run.status_reason, run.request) == (status, reason, None)
    assert (run.failures, run.lease_losses) == (0, 0)
    assert db.runs.list_attempts("a")[0].end_reason == end_reason
    assert raw.exists("queue:leases", "queue:holders") == 0
    assert raw.exists("queue:demand") == (status is Status.WAITING)
    assert (run.paused_at is not None) == (status is Status.PAUSED)


@pytest.mark.parametrize(
    ("control", "status"),
    [("cancel", Status.CANCELLED), ("pause", Status.PAUSED), ("preempt", Status.WAITING)],
)
def test_what_is_asked_for_survives_the_loss_of_the_worker(
    db: RedisDB, raw: redis.Redis, control: str, status: Status
) -> None:
    running(db, run_id="a")
    call(db, control)
    raw.zadd("queue:leases", {"a": 1})
    db.queue.requeue_expired(grace_s=0)
    run = db.runs.get("a")
    assert (run.status, run.request, run.lease_losses) == (status, None, 1)
    assert db.runs.list_attempts("a")[0].end_reason == "lease_lost"


def test_done_beats_a_cancel_and_cancel_beats_a_pause(db: RedisDB) -> None:
    lease = running(db, run_id="a")
    db.controls.pause("a")
    db.controls.preempt("a")
    assert db.runs.get("a").request == "pause"
    db.controls.cancel("a")
    for control in ("pause", "resume"):
        with pytest.raises(Conflict, match="being cancelled"):
            call(db, control)
    db.controls.preempt("a")
    assert db.runs.get("a").request == "cancel"
    assert db.queue.finish(lease, Status.DONE) is Status.DONE
    assert db.runs.get("a").request is None


def test_a_cancelled_run_may_be_finished_as_cancelled(db: RedisDB) -> None:
    lease = running(db, run_id="a")
    db.controls.cancel("a")
    assert [db.queue.finish(lease, Status.CANCELLED) for _ in range(2)] == [Status.CANCELLED] * 2
    run = db.runs.get("a")
    assert (run.status, run.status_reason, run.request) == (
        Status.CANCELLED,
        "cancelled on request",
        None,
    )
    assert db.runs.list_attempts("a")[0].end_reason == "cancelled"


@pytest.mark.parametrize("status", [Status.PAUSED, Status.DEFERRED])
def test_a_resumed_run_is_claimed_next(db: RedisDB, raw: redis.Redis, status: Status) -> None:
    put(db, status)
    db.queue.submit(PARAMS, run_id="b")
    raw.delete("queue:wake:default")
    run = db.controls.resume("a")
    assert (run.status, run.due_at, run.paused_at, run.status_reason) == (Status.WAITING, None, None, None)
    assert raw.llen("queue:wake:default") == 1
    assert raw.smembers("queue:demand") == {"a", "b"}
    assert claim(db).run_id == "a"


def test_a_pause_can_be_taken_back_before_the_worker_has_stopped(db: RedisDB) -> None:
    lease = running(db, run_id="a")
    db.controls.pause("a")
    assert db.controls.resume("a").request is None
    assert db.queue.renew(lease, lease_s=60) is None
    assert db.queue.release(lease, reason="stopped") is Status.WAITING


def test_priority_moves_a_waiting_run_to_the_other_list(db: RedisDB, raw: redis.Redis) -> None:
    for run_id in ("a", "b"):
        db.queue.submit(PARAMS, run_id=run_id)
    raw.delete("queue:wake:default")
    assert db.controls.set_priority("b", "high").options.priority == "high"
    assert (raw.lrange("queue:requests:high", 0, -1), raw.lrange("queue:requests", 0, -1)) == (["b"], ["a"])
    assert (raw.llen("queue:wake:default"), db.queue.length("default")) == (1, 2)
    db.controls.set_priority("a", "high")
    assert db.controls.set_priority("b", "normal").options.priority == "normal"
    assert [claim(db, worker_id=f"w{number}").run_id for number in range(2)] == ["a", "b"]


@pytest.mark.parametrize("status", [Status.DEFERRED, Status.PAUSED, Status.RUNNING])
def test_a_priority_is_remembered_until_the_run_waits(db: RedisDB, raw: redis.Redis, status: Status) -> None:
    put(db, status)
    raw.delete("queue:requests")
    db.controls.set_priority("a", "high")
    if status is Status.RUNNING:
        raw.zadd("queue:leases", {"a": 1})
        db.queue.requeue_expired(grace_s=0)
    else:
        db.controls.resume("a")
    run = db.runs.get("a")
    assert run.options.priority == "high"
    key = "queue:requests:high" if status is not Status.RUNNING else f"queue:requests:{WORKER}:high"
    assert raw.lrange(key, 0, -1) == ["a"]


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.CANCELLED])
def test_the_priority_of_a_run_that_has_ended_is_not_changed(db: RedisDB, status: Status) -> None:
    put(db, status)
    with pytest.raises(Conflict, match=status):
        db.controls.set_priority("a", "high")


def fail_for_good(db: RedisDB) -> Lease:
    options = RunOptions(max_failures=0)
    db.queue.submit(PARAMS, options, run_id="a")
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1))
    db.queue.finish(lease, Status.FAILED, error=RETRYABLE)
    return lease


def test_a_failed_run_waits_again_behind_the_others_with_a_clean_slate(db: RedisDB) -> None:
    fail_for_good(db)
    db.queue.submit(PARAMS, run_id="b")
    failed = db.runs.get("a")
    assert (failed.status, failed.failures) == (Status.FAILED, 1)
    run = db.controls.retry("a")
    assert (run.status, run.failures, run.lease_losses, run.error, run.ended_at) == (
        *(Status.WAITING, 0, 0),
        *(None, None),
    )
    assert (run.epochs_done, run.attempt, run.energy_kwh) == (1, 1, 0.1)
    assert db.runs.list_attempts("a")[0].error == "OSError: the disk is full"
    assert [claim(db, worker_id=f"w{number}").run_id for number in range(2)] == ["b", "a"]
    assert db.runs.get("a").attempt == 2


def test_a_deletion_removes_every_trace_but_the_totals(db: RedisDB, raw: redis.Redis) -> None:
    other = running(db, run_id="b")
    lease = running(db, run_id="a", worker_id="w2")
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1, co2_g=40))
    db.runs.record_epoch(lease, epoch(2, energy_kwh=0.1, co2_g=40))
    db.queue.release(lease, reason="stop")
    lease = claim(db, worker_id="w2", queue="w2")
    db.runs.record_epoch(lease, epoch(2, energy_kwh=0.1, co2_g=40))
    db.runs.record_extra(lease, extra(attempt=2))
    db.log.append(lease, ["one", "two"])
    db.queue.finish(lease, Status.DONE)
    totals = db.accounts.list_projects()

    preview = db.controls.preview_deletion("a")
    assert (preview.status, preview.epochs, preview.attempts, preview.log_lines) == (Status.DONE, 2, 2, 2)
    assert [preview.energy_kwh, preview.co2_g] == pytest.approx([0.8, 170])
    assert db.runs.get("a").status is Status.DONE

    assert db.controls.delete("a") == preview
    assert db.runs.find("a") is None
    assert db.accounts.list_projects() == totals
    assert not [key for key in raw.scan_iter() if key.startswith("run:a")]
    for status in (None, *Status):
        for field in SortField:
            found = [run.run_id for run in db.runs.list(field, status=status).runs]
            assert found == (["b"] if status in (None, Status.RUNNING) else [])
            assert db.runs.list(field, status=status, limit=1).total == len(found)
    with pytest.raises(NotFound):
        db.controls.delete("a")
    db.queue.finish(other, Status.DONE)


@pytest.mark.parametrize("is_simulated", [False, True])
def test_a_run_that_was_never_trained_leaves_no_index_entry(
    db: RedisDB, raw: redis.Redis, is_simulated: bool
) -> None:
    db.queue.submit({**PARAMS, "simulated": is_simulated}, run_id="a")
    db.controls.cancel("a")
    db.controls.delete("a")
    db.queue.promote_due()
    raw.delete("queue:wake:default", "events", "counters")
    assert raw.dbsize() == 0


def test_every_wish_is_an_event(db: RedisDB) -> None:
    put(db, Status.DEFERRED)
    db.controls.pause("a")
    db.controls.resume("a")
    db.controls.set_priority("a", "high")
    lease = claim(db)
    db.controls.preempt("a")
    db.queue.release(lease, reason="stop")
    db.controls.cancel("a")
    db.controls.retry("a")
    db.controls.cancel("a")
    db.controls.delete("a")
    assert [event.kind for event in db.events.list()] == [
        *("submitted", "paused", "resumed", "prioritised", "claimed", "asked", "preempted"),
        *("cancelled", "retried", "cancelled", "deleted"),
    ]


def test_a_run_with_requirements_waits_in_their_queue_and_rings_for_both(
    db: RedisDB, raw: redis.Redis
) -> None:
    requires = Requires(gpus=2, zone="DE")
    run = db.queue.submit(PARAMS, RunOptions(queue="gpu", requires=requires), run_id="a")
    name = "gpu.gpus-2.zone-de"
    assert run.options.requires == requires
    assert raw.lrange(f"queue:requests:{name}", 0, -1) == ["a"]
    assert (raw.llen(f"queue:wake:{name}"), raw.llen("queue:wake:gpu")) == (1, 1)
    assert db.queue.list_requirements() == {name: ("gpu", requires)}
    assert db.queue.claim(["gpu"], worker_id=WORKER, lease_s=60) is None

    lease = claim(db, queue=name)
    assert db.queue.promote_due() == []
    assert db.queue.list_requirements() == {}, "nobody waits who needs this"
    assert raw.exists(f"queue:wake:{name}") == 0
    db.queue.release(lease, reason="stop")
    assert db.queue.list_requirements() == {name: ("gpu", requires)}
    db.queue.promote_due()
    assert db.queue.list_requirements() == {name: ("gpu", requires)}
    db.controls.set_priority("a", "high")
    assert claim(db, queue=name).run_id == "a"


def test_a_deferred_run_waits_once_it_is_due_and_not_before(db: RedisDB, raw: redis.Redis) -> None:
    soon = db.now() + timedelta(hours=1)
    run = db.queue.submit(PARAMS, RunOptions(start_at=soon, priority="high"), run_id="a")
    assert (run.status, run.due_at) == (Status.DEFERRED, soon)
    db.queue.submit(PARAMS, RunOptions(start_at=soon + timedelta(hours=1)), run_id="b")
    assert raw.exists("queue:requests", "queue:demand", "queue:wake:default") == 0
    assert db.queue.promote_due() == []
    raw.zadd("queue:deferred", {"a": 2, "b": 1})
    assert db.queue.promote_due(limit=1) == ["b"]
    assert db.queue.promote_due() == ["a"]
    assert raw.smembers("queue:demand") == {"a", "b"}
    leases = [claim(db, worker_id=f"w{number}") for number in range(2)]
    assert [(lease.run_id, lease.run.due_at) for lease in leases] == [("a", None), ("b", None)]
    assert [event.kind for event in db.events.list()].count("due") == 2


def test_of_runs_that_are_due_together_the_earliest_is_claimed_first(db: RedisDB, raw: redis.Redis) -> None:
    for run_id in ("a", "b", "c"):
        db.queue.submit(PARAMS, LATER, run_id=run_id)
    raw.zadd("queue:deferred", {"a": 2, "b": 1, "c": 3})
    db.queue.promote_due()
    assert [claim(db, worker_id=f"w{number}").run_id for number in range(3)] == ["b", "a", "c"]


def test_a_start_that_has_passed_does_not_defer(db: RedisDB) -> None:
    run = db.queue.submit(PARAMS, RunOptions(start_at=db.now() - timedelta(seconds=1)))
    assert (run.status, run.due_at) == (Status.WAITING, None)


def test_a_rerun_says_which_run_it_repeats(db: RedisDB) -> None:
    first = db.queue.submit(PARAMS)
    assert db.queue.submit(PARAMS, rerun_of=first.run_id).rerun_of == first.run_id
