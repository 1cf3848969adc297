"""What rules raise, in real Redis with the real tick: once each, for what they are about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis

from alerts.rounds import EVENTS_AT_ONCE
from errors import NotFound
from redis_db import RedisDB
from schema import (
    ExperimentRequest,
    GpuState,
    MetricPoints,
    PointsRequest,
    RunError,
    RunOptions,
    Status,
)
from tests.alert_parts import add_rule, alerting, keep_house, raised, wind_back
from tests.records import TORCH_WORKER, claim, epoch, running

FAILURE = RunError(kind="TrainingFailed", message="the loss went away")


def titles(db: RedisDB) -> list[str]:
    return [alert.title.partition(":")[0] for alert in raised(db)]


def end(db: RedisDB, status: Any = Status.DONE, **options: Any) -> str:
    """End a run and return its id."""
    run = db.queue.submit({"num_epochs": 3}, RunOptions(queue="worker-1", **options))
    error = FAILURE if status is Status.FAILED else None
    db.queue.finish(claim(db, queue="worker-1"), status, error=error)
    return run.run_id


def test_a_run_that_ends_is_told_once(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "run_finished"})
    add_rule(db, {"kind": "run_failed"})
    done, failed = end(db), end(db, Status.FAILED)
    end(db, Status.CANCELLED)

    program = alerting(db)
    keep_house(raw, db, program, program)

    assert len(raised(db)) == 2
    told = {alert.kind: alert for alert in raised(db)}
    assert (told["run_finished"].run_id, told["run_failed"].run_id) == (done, failed)
    assert "TrainingFailed: the loss went away" in told["run_failed"].text
    assert f"http://127.0.0.1:8501/run?iid={failed}" in told["run_failed"].text


def test_what_happened_before_a_rule_was_there_raises_nothing(db: RedisDB, raw: redis.Redis) -> None:
    end(db)
    (*_, event) = db.events.list()
    add_rule(db, {"kind": "run_finished"}, active_since=event.time + timedelta(milliseconds=1))
    keep_house(raw, db, alerting(db))
    assert raised(db) == []


def test_what_happens_in_the_millisecond_of_a_new_rule_is_not_lost(db: RedisDB, raw: redis.Redis) -> None:
    run_id = end(db)
    (*_, event) = db.events.list()
    add_rule(db, {"kind": "run_finished"}, active_since=event.time + timedelta(microseconds=900))
    keep_house(raw, db, alerting(db))
    assert [alert.run_id for alert in raised(db)] == [run_id]


def test_a_failure_that_is_tried_again_is_none_yet(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "run_failed"})
    error = RunError(kind="OSError", message="the disk is gone", is_retryable=True)
    assert db.queue.finish(running(db), Status.FAILED, error=error) is Status.DEFERRED
    keep_house(raw, db, alerting(db))
    assert raised(db) == []


def test_a_rule_chooses_runs_by_project_and_tag(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "run_finished"}, project="a")
    add_rule(db, {"kind": "run_finished"}, tag="night", name="tagged")
    of_project, tagged = end(db, project="a"), end(db, tags=("night",))
    end(db, project="b")
    keep_house(raw, db, alerting(db))
    assert {(alert.rule_name, alert.run_id) for alert in raised(db)} == {
        ("rule run_finished", of_project),
        ("tagged", tagged),
    }


def test_two_programs_that_look_at_the_same_time_raise_it_once(db: RedisDB) -> None:
    rule = add_rule(db, {"kind": "run_finished"})
    end(db)
    look = db.alerts.look()
    first, second = alerting(db), alerting(db)
    assert first._rounds.run() == 1
    assert second._rounds.run() == 0
    # What a round found that began before another one was taken over is refused as a whole.
    assert not db.alerts.commit(look, "999-0", {f"{rule.rule_id}|x": None}, raised(db))
    assert len(raised(db)) == 1
    assert db.alerts.look().cursor != "999-0"


def test_more_events_than_a_round_reads_at_once_are_all_looked_at(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "run_finished"})
    lease = running(db)
    for number in range(1, EVENTS_AT_ONCE + 10):
        db.runs.record_epoch(lease, epoch(number))
    db.queue.finish(lease, Status.DONE)
    alerting(db)._rounds.run()
    assert [alert.run_id for alert in raised(db)] == [lease.run_id]


def test_a_metric_has_to_lie_beyond_its_threshold_several_times_in_a_row(
    db: RedisDB, raw: redis.Redis
) -> None:
    condition = {"kind": "metric", "metric": "test_loss", "relation": "above", "threshold": 2, "points": 3}
    add_rule(db, condition, again_after_s=0)
    lease, program = running(db), alerting(db)
    losses = iter(range(1, 100))

    def record(*values: float) -> list[str]:
        for value in values:
            db.runs.record_epoch(lease, epoch(next(losses), test_loss=value))
        keep_house(raw, db, program)
        return titles(db)

    assert record(3, 3, 1, 3, 3) == []
    assert record(3) == ["test_loss above 2"]
    assert record(3, 3) == ["test_loss above 2"], "it is still the same"
    assert record(1) == ["test_loss above 2"]
    # Between two rounds: over before the second one looks.
    assert record(3, 3, 3, 1) == ["test_loss above 2"] * 2


def test_a_rule_on_a_metric_that_epochs_do_not_have_raises_nothing(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "metric", "metric": "perplexity", "relation": "below", "threshold": 2})
    db.runs.record_epoch(running(db), epoch(1))
    keep_house(raw, db, alerting(db))
    assert raised(db) == []


def test_a_run_whose_loss_is_no_number_is_told(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "nan"})
    error = RunError(kind="TrainingFailed", message="The loss is no longer a number at step 3")
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1))
    db.queue.finish(lease, Status.FAILED, error=error)
    end(db, Status.FAILED)
    keep_house(raw, db, alerting(db))
    assert [alert.run_id for alert in raised(db)] == [lease.run_id]


def test_a_run_without_an_epoch_for_a_while_has_stalled_until_there_is_one(
    db: RedisDB, raw: redis.Redis
) -> None:
    add_rule(db, {"kind": "run_stalled", "for_s": 600}, again_after_s=0)
    lease, program = running(db), alerting(db)
    db.runs.record_epoch(lease, epoch(1))
    keep_house(raw, db, program)
    wind_back(raw, 590)
    keep_house(raw, db, program)
    assert raised(db) == []
    wind_back(raw, 20)
    keep_house(raw, db, program, program)
    assert titles(db) == ["Run stalled"]
    db.runs.record_epoch(lease, epoch(2))
    keep_house(raw, db, program)
    wind_back(raw, 700)
    keep_house(raw, db, program)
    assert titles(db) == ["Run stalled"] * 2
    db.queue.finish(lease, Status.DONE)
    keep_house(raw, db, program)
    assert raw.hgetall("alerts:states") == {}, "nothing is remembered of a run that has ended"


def test_a_condition_that_comes_and_goes_is_not_told_each_time(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "disk", "for_s": 0}, again_after_s=3600)
    program = alerting(db)

    def beat(share: float) -> int:
        db.workers.beat(TORCH_WORKER.model_copy(update={"disk_share": share}), ttl_s=60)
        keep_house(raw, db, program)
        return len(raised(db))

    assert beat(0.95) == 1
    assert beat(0.1) == 1
    assert beat(0.95) == 1, "within the hour"
    assert beat(0.1) == 1
    wind_back(raw, 3700)
    assert beat(0.95) == 2


@pytest.mark.parametrize(
    ("condition", "calm", "bad"),
    [
        ({"kind": "gpu_idle"}, {"run_id": None, "utilisation": 0.0}, {"utilisation": 0.01}),
        ({"kind": "gpu_hot", "above_c": 80}, {"temperature_c": 79.0}, {"temperature_c": 80.0}),
        ({"kind": "memory"}, {"memory_share": 0.9}, {"memory_share": 0.96}),
        (
            {"kind": "memory", "of": "gpu", "above": 0.5},
            {"memory_used_bytes": 4, "memory_total_bytes": 10},
            {"memory_used_bytes": 5, "memory_total_bytes": 10},
        ),
        ({"kind": "disk"}, {"disk_share": 0.5}, {"disk_share": 0.9}),
    ],
    ids=["idle", "hot", "memory", "gpu memory", "disk"],
)
@pytest.mark.parametrize("is_second", [False, True], ids=["its GPU", "a further GPU"])
def test_a_machine_in_trouble_is_told_once_it_has_been_so_for_a_while(
    condition: dict[str, Any],
    calm: dict[str, Any],
    bad: dict[str, Any],
    is_second: bool,
    db: RedisDB,
    raw: redis.Redis,
) -> None:
    add_rule(db, condition)
    program = alerting(db)

    def beat(facts: dict[str, Any]) -> None:
        of_worker: dict[str, Any] = {
            name: facts[name] for name in ("run_id", "memory_share", "disk_share") if name in facts
        }
        of_gpu: dict[str, Any] = {name: fact for name, fact in facts.items() if name not in of_worker}
        gpu = GpuState(name="H1", **of_gpu)
        # Whichever of its GPUs is in trouble.
        gpus = {"other_gpus": (gpu,)} if is_second else {"gpu": gpu}
        changes: dict[str, Any] = {"run_id": "0" * 32, **of_worker, **gpus}
        db.workers.beat(TORCH_WORKER.model_copy(update=changes), ttl_s=60)
        keep_house(raw, db, program)

    beat(calm)
    assert raw.hgetall("alerts:states") == {}
    beat(bad)
    assert raised(db) == []
    wind_back(raw, 700)
    beat(bad)
    beat(bad)
    assert [(alert.kind, alert.worker_id) for alert in raised(db)] == [(condition["kind"], "w-1")]


def test_a_worker_that_fell_silent_is_told_once_and_one_that_said_good_bye_is_not(
    db: RedisDB, raw: redis.Redis
) -> None:
    lost = {"worker_id": "lost", "name": "lost", "run_id": "f" * 32}
    now_s = db.now().timestamp()
    add_rule(db, {"kind": "worker_lost"}, active_since=now_s - 60)
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    db.workers.remove(TORCH_WORKER.worker_id)
    db.workers.beat(TORCH_WORKER.model_copy(update=lost), ttl_s=60)
    program = alerting(db)
    keep_house(raw, db, program)
    assert raised(db) == []
    raw.zadd("workers", {"lost": now_s - 30})
    keep_house(raw, db, program, program)
    assert [(alert.worker_id, alert.run_id) for alert in raised(db)] == [("lost", "f" * 32)]


@pytest.mark.parametrize(
    ("condition", "options"),
    [
        ({"of": "run"}, {}),
        ({"of": "day"}, {}),
        ({"of": "month"}, {}),
        ({"of": "project"}, {"project": "green"}),
        ({"of": "project"}, {}),
    ],
)
def test_a_co2_budget_is_told_once_when_it_is_reached(
    condition: dict[str, Any], options: dict[str, Any], db: RedisDB, raw: redis.Redis
) -> None:
    add_rule(db, {"kind": "co2_budget", "budget_g": 100, **condition}, again_after_s=0, **options)
    db.queue.submit({"num_epochs": 3}, RunOptions(queue="worker-1", project="green"))
    lease, program = claim(db, queue="worker-1"), alerting(db)

    def record(number: int, co2_g: float) -> int:
        known = {"energy_kwh": 0.1, "energy_quality": "measured", "co2_g": co2_g}
        db.runs.record_epoch(lease, epoch(number, **known, ended_at=db.now()))
        keep_house(raw, db, program)
        return len(raised(db))

    assert record(1, 99) == 0
    assert record(2, 1) == 1
    assert record(3, 50) == 1
    assert "100 g of CO₂" in raised(db)[0].text


def test_simulated_runs_count_towards_no_budget(db: RedisDB, raw: redis.Redis) -> None:
    for of in ("run", "day", "project"):
        add_rule(db, {"kind": "co2_budget", "budget_g": 1, "of": of})
    known = {"energy_kwh": 0.1, "energy_quality": "simulated", "co2_g": 50}
    db.runs.record_epoch(running(db, is_simulated=True), epoch(1, **known, ended_at=db.now()))
    keep_house(raw, db, alerting(db))
    assert raised(db) == []


def test_a_rule_that_is_off_raises_nothing_and_begins_anew(db: RedisDB, raw: redis.Redis) -> None:
    rule = add_rule(db, {"kind": "disk", "for_s": 0})
    program = alerting(db)
    db.workers.beat(TORCH_WORKER.model_copy(update={"disk_share": 0.95}), ttl_s=60)
    db.alerts.put_rule(rule.model_copy(update={"is_enabled": False}), is_new=False)
    keep_house(raw, db, program)
    assert raised(db) == []
    db.alerts.put_rule(rule.model_copy(update={"active_since": db.now()}), is_new=False)
    keep_house(raw, db, program)
    assert len(raised(db)) == 1
    db.alerts.delete_rule(rule.rule_id)
    other = add_rule(db, {"kind": "run_finished"})
    keep_house(raw, db, program)
    assert raw.hgetall("alerts:states") == {}, other.name


def test_rules_look_at_the_points_that_scripts_report(db: RedisDB, raw: redis.Redis) -> None:
    condition = {"kind": "metric", "metric": "loss", "relation": "above", "threshold": 2, "points": 2}
    add_rule(db, condition, project="own", again_after_s=0)
    add_rule(db, {"kind": "nan"})
    add_rule(db, {"kind": "run_finished"})
    program = alerting(db)
    run = db.external.begin(ExperimentRequest(name="mine", project="own")).run
    other = db.external.begin(ExperimentRequest(name="other")).run

    def report(seq: int, *values: float | str) -> list[str]:
        points = MetricPoints(
            steps=[seq] * len(values), values=list(values), times=[float(seq)] * len(values)
        )
        for own in (run, other):
            batch = PointsRequest(session="s", seq=seq, points={"loss": points})
            db.metrics.record(own.run_id, batch, at=db.now())
        keep_house(raw, db, program)
        return titles(db)

    assert report(1, 1, 3) == []
    assert report(2, 3) == ["loss above 2"]
    assert report(3, 3) == ["loss above 2"]
    told = ["loss above 2", "Not a number", "Not a number"]
    assert report(4, 1, "NaN") == told
    assert report(5, 3, 3) == [*told, "loss above 2"], "it was over in between"
    assert raised(db)[0].run_id == run.run_id
    assert raised(db)[0].title == f"loss above 2: mine, {run.run_id[:8]}"
    db.external.end(run.run_id, Status.DONE)
    keep_house(raw, db, program)
    assert titles(db)[4:] == ["Run done"]


def test_a_script_that_is_not_heard_of_has_stalled(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "run_stalled", "for_s": 600})
    program = alerting(db)
    run = db.external.begin(ExperimentRequest(name="mine")).run
    keep_house(raw, db, program)
    assert raised(db) == []
    raw.hset(f"run:{run.run_id}", "heard_at", db.now().timestamp() - 601)
    keep_house(raw, db, program, program)
    assert titles(db) == ["Run stalled"]
    assert "Its script was not heard of for 10 min" in raised(db)[0].text


def test_a_change_brings_no_deleted_rule_back(db: RedisDB) -> None:
    rule = add_rule(db, {"kind": "run_finished"})
    db.alerts.delete_rule(rule.rule_id)
    with pytest.raises(NotFound, match="no alert rule"):
        db.alerts.put_rule(rule, is_new=False)
    assert db.alerts.list_rules() == []


def test_alerts_of_a_storm_are_bounded_and_counted(db: RedisDB, raw: redis.Redis) -> None:
    add_rule(db, {"kind": "run_finished"}, channels=("ops", "pager"))
    for _ in range(1_000):
        end(db)
    alerting(db)._rounds.run()
    assert len(raised(db)) == 1_000
    states = db.alerts.describe_channels(["ops", "pager"])
    assert {(state.waiting, state.left_out) for state in states.values()} == {(500, 500)}
