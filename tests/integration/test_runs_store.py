"""What a run achieved and cost, as the store adds it up."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from errors import InvalidInput, LeaseLost, NotFound
from redis_db import RedisDB
from schema import EpochResult, ExtraCost, Lease, Scalar, SortField, Status
from tests.records import WORKER, claim, epoch, extra, running


def restart(db: RedisDB, lease: Lease) -> Lease:
    """End the attempt and begin the next one."""
    db.queue.release(lease, reason="stop")
    return claim(db, queue=lease.run.options.queue)


def test_a_run_that_does_not_exist_is_not_found(db: RedisDB) -> None:
    assert db.runs.find("missing") is None
    with pytest.raises(NotFound, match="missing"):
        db.runs.get("missing")
    assert (db.runs.list_epochs("missing"), db.runs.list_attempts("missing")) == ([], [])


def test_an_epoch_is_read_as_it_was_recorded(db: RedisDB) -> None:
    lease = running(db)
    result = epoch(
        1,
        train_loss=0.123456,
        train_accuracy=0.1234567,
        energy_kwh=3.333333e-10,
        energy_quality="measured",
        energy_by_source={"gpu:0": 3e-10, "cpu": 3.333e-11},
        co2_g=0.333333,
        ended_at=datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC),
    )
    db.runs.record_epoch(lease, result)
    assert db.runs.list_epochs(lease.run_id) == [result.model_copy(update={"attempt": 1})]


def test_what_was_measured_is_kept_with_six_digits_or_seven(db: RedisDB) -> None:
    lease = running(db)
    measured = {"energy_kwh": 1e-9 / 3, "co2_g": 2 / 3, "duration_s": 100 / 3}
    db.runs.record_epoch(lease, epoch(1, **measured, energy_by_source={"cpu": 1e-9 / 3}))
    (stored,) = db.runs.list_epochs(lease.run_id)
    assert (stored.energy_kwh, stored.co2_g, stored.duration_s) == (3.333333e-10, 0.666667, 33.3333)
    assert stored.energy_by_source == {"cpu": 3.333e-10}


def test_an_epoch_that_was_written_before_there_were_sources_is_read(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    raw.hset(
        f"run:{lease.run_id}:epochs",
        "1",
        '[1,0.5,1.5,0.5,null,null,0.5,1,0.001,"measured",null,null,0.4,400]',
    )
    (stored,) = db.runs.list_epochs(lease.run_id)
    assert (stored.energy_kwh, stored.energy_by_source, stored.ended_at) == (0.001, None, None)


def test_the_summary_follows_the_epochs(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, test_accuracy=0.9, test_loss=0.3, energy_kwh=0.1, co2_g=40))
    db.runs.record_epoch(lease, epoch(2, test_accuracy=0.8, test_loss=0.4, energy_kwh=0.2, co2_g=80))
    run = db.runs.get(lease.run_id)
    assert (run.epochs_done, run.best_accuracy, run.last_accuracy, run.last_loss) == (2, 0.9, 0.8, 0.4)
    assert [run.energy_kwh, run.co2_g, run.duration_s] == pytest.approx([0.3, 120, 1.0])
    assert run.accuracy_per_kwh == pytest.approx(3)
    (attempt,) = db.runs.list_attempts(lease.run_id)
    assert (attempt.energy_kwh, attempt.co2_g, attempt.duration_s) == (run.energy_kwh, 120, 1.0)
    assert attempt.ended_at is None


def test_an_epoch_that_comes_late_is_not_the_last_one(db: RedisDB) -> None:
    lease = running(db)
    for number in (1, 3, 2):
        db.runs.record_epoch(lease, epoch(number, test_loss=number, test_accuracy=number / 10))
    run = db.runs.get(lease.run_id)
    assert (run.epochs_done, run.best_accuracy, run.last_accuracy, run.last_loss) == (3, 0.3, 0.3, 3)


def test_an_epoch_sent_again_counts_once(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1))
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1))
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before


def test_a_restarted_run_drops_what_the_attempt_before_had_recorded_behind_it(db: RedisDB) -> None:
    first = running(db)
    for number, accuracy in ((1, 0.5), (2, 0.95), (3, 0.7)):
        db.runs.record_epoch(first, epoch(number, test_accuracy=accuracy, test_loss=number, energy_kwh=0.1))
    second = restart(db, first)
    db.runs.record_epoch(second, epoch(1, test_accuracy=0.6, test_loss=0.9, energy_kwh=0.2))
    run = db.runs.get(first.run_id)
    assert (run.epochs_done, run.best_accuracy, run.last_accuracy, run.last_loss) == (1, 0.6, 0.6, 0.9)
    db.runs.record_epoch(second, epoch(2, test_accuracy=0.35, energy_kwh=0.2))
    run = db.runs.get(first.run_id)
    assert (run.epochs_done, run.best_accuracy, run.last_accuracy) == (2, 0.6, 0.35)
    assert [run.energy_kwh, run.duration_s] == pytest.approx([0.7, 2.5])
    assert run.accuracy_per_kwh == pytest.approx(0.6 / 0.7)
    assert [result.attempt for result in db.runs.list_epochs(first.run_id)] == [2, 2]
    energies = [attempt.energy_kwh for attempt in db.runs.list_attempts(first.run_id)]
    assert energies == [pytest.approx(0.3), pytest.approx(0.4)]
    (best,) = db.runs.list(SortField.BEST_ACCURACY).runs
    assert best.best_accuracy == 0.6


def test_a_resumed_run_keeps_the_epochs_before_the_one_it_starts_with(db: RedisDB) -> None:
    first = running(db)
    for number, accuracy in ((1, 0.5), (2, 0.6), (3, 0.95), (4, 0.9)):
        db.runs.record_epoch(first, epoch(number, test_accuracy=accuracy))
    second = restart(db, first)
    db.runs.record_epoch(second, epoch(3, test_accuracy=0.7, test_loss=0.4))
    run = db.runs.get(first.run_id)
    assert (run.epochs_done, run.best_accuracy, run.last_accuracy, run.last_loss) == (3, 0.7, 0.7, 0.4)
    kept = [(result.epoch, result.attempt) for result in db.runs.list_epochs(first.run_id)]
    assert kept == [(1, 1), (2, 1), (3, 2)]


def test_one_epoch_of_unknown_energy_makes_the_sums_unknown_for_good(db: RedisDB) -> None:
    first = running(db)
    db.runs.record_epoch(first, epoch(1, test_accuracy=0.5, energy_kwh=0.5, co2_g=200))
    assert db.runs.get(first.run_id).accuracy_per_kwh == 1
    db.runs.record_epoch(first, epoch(2, energy_reason="no meter"))
    db.runs.record_epoch(first, epoch(3, energy_kwh=0.5, co2_g=200))
    second = restart(db, first)
    db.runs.record_epoch(second, epoch(1, energy_kwh=0.25, co2_g=100))

    run = db.runs.get(first.run_id)
    assert (run.energy_kwh, run.co2_g, run.accuracy_per_kwh) == (None, None, None)
    assert (run.unknown_energy_epochs, run.duration_s) == (1, 2)
    attempts = db.runs.list_attempts(first.run_id)
    costs = [(attempt.energy_kwh, attempt.co2_g, attempt.unknown_energy_epochs) for attempt in attempts]
    assert costs == [(None, None, 1), (0.25, 100, 0)]
    assert [result.energy_kwh for result in db.runs.list_epochs(first.run_id)] == [0.25]

    known = running(db, worker_id="w2")
    db.runs.record_epoch(known, epoch(1, energy_kwh=0.1, co2_g=1))
    for field in (SortField.ENERGY_KWH, SortField.CO2_G, SortField.ACCURACY_PER_KWH):
        listed = [run.run_id for run in db.runs.list(field, order="asc").runs]
        assert listed == [known.run_id, first.run_id], "a run without a value comes last"


def test_an_attempt_that_recorded_nothing_makes_no_sum_unknown(db: RedisDB) -> None:
    second = restart(db, running(db))
    db.runs.record_epoch(second, epoch(1, energy_kwh=0.0, co2_g=0.0, energy_quality="measured"))
    run = db.runs.get(second.run_id)
    assert (run.energy_kwh, run.co2_g, run.energy_quality, run.accuracy_per_kwh) == (0, 0, "measured", None)
    assert run.unknown_energy_epochs == 0


def unfinished(**changes: Any) -> ExtraCost:
    known = {"name": "unfinished_epoch", "energy_kwh": 0.2, "co2_g": 8}
    return extra(**known | changes)


@pytest.mark.parametrize("has_ended", [False, True], ids=["put back", "failed"])
def test_what_an_unfinished_epoch_used_is_in_the_sums_once(db: RedisDB, has_ended: bool) -> None:
    lease = running(db)
    db.runs.record_epoch(
        lease, epoch(1, test_accuracy=0.6, energy_kwh=0.1, energy_quality="measured", co2_g=4)
    )
    for _ in range(2):  # the reply to the first was lost
        db.runs.record_extra(lease, unfinished(energy_quality="estimated"))
    if has_ended:
        db.queue.finish(lease, Status.FAILED)
    else:
        db.queue.release(lease, reason="stop")

    run = db.runs.get(lease.run_id)
    assert [run.energy_kwh, run.co2_g, run.accuracy_per_kwh] == pytest.approx([0.3, 12, 2.0])
    assert run.energy_quality == "estimated"
    assert (run.unknown_energy_epochs, run.duration_s) == (0, 4.5)
    (attempt,) = db.runs.list_attempts(lease.run_id)
    assert [attempt.energy_kwh, attempt.co2_g] == pytest.approx([0.3, 12])
    assert db.runs.list(SortField.ACCURACY_PER_KWH, status=run.status).runs == (run,)


def test_an_attempt_that_recorded_nothing_still_counts_what_it_used(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_extra(lease, unfinished())
    db.queue.release(lease, reason="stop")
    assert db.runs.get(lease.run_id).energy_kwh == 0.2
    lease = claim(db, queue=WORKER)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1, co2_g=4))
    run = db.runs.get(lease.run_id)
    assert [run.energy_kwh, run.co2_g, run.duration_s] == pytest.approx([0.3, 12, 4.5])


def test_the_time_of_an_epoch_of_two_attempts_is_in_the_sums_once(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_extra(lease, unfinished(span_s=4.0, duration_s=4.0))
    db.runs.record_epoch(restart(db, lease), epoch(1, duration_s=4.5, resumed_after_s=3.5))
    assert db.runs.get(lease.run_id).duration_s == pytest.approx(5.0)
    attempts = db.runs.list_attempts(lease.run_id)
    assert [attempt.duration_s for attempt in attempts] == pytest.approx([4.0, 1.0])
    ((real, _),) = db.accounts.list_projects().values()
    assert real.duration_s == pytest.approx(5.0)
    (stored,) = db.runs.list_epochs(lease.run_id)
    assert (stored.duration_s, stored.resumed_after_s) == (4.5, 3.5)


def test_a_run_that_used_something_before_its_first_epoch_is_in_every_list(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_extra(lease, unfinished())
    for field in SortField:
        listed = db.runs.list(field, status=Status.RUNNING, limit=2)
        assert ([run.run_id for run in listed.runs], listed.total) == ([lease.run_id], 1)


def test_a_sum_that_is_unknown_stays_unknown_when_an_unfinished_epoch_is_added(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1))
    db.runs.record_extra(lease, unfinished())
    db.queue.release(lease, reason="stop")
    assert db.runs.get(lease.run_id).energy_kwh is None
    assert db.runs.list_attempts(lease.run_id)[0].energy_kwh is None


def test_an_attempt_whose_worker_was_killed_says_that_its_sum_is_not_whole(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1, co2_g=4))
    db.queue.renew(lease, lease_s=-1)
    assert db.queue.requeue_expired(grace_s=0) == [lease.run_id]
    (attempt,) = db.runs.list_attempts(lease.run_id)
    assert attempt.energy_kwh == 0.1
    assert "stopped answering" in (attempt.energy_reason or "")


def test_a_simulated_run_is_not_charged_for_its_simulation(db: RedisDB) -> None:
    lease = running(db, is_simulated=True)
    db.runs.record_extra(lease, unfinished())
    db.queue.release(lease, reason="stop")
    assert db.runs.get(lease.run_id).energy_kwh is None


def test_energy_that_is_known_without_its_intensity_leaves_only_co2_unknown(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1, co2_g=40))
    db.runs.record_epoch(lease, epoch(2, energy_kwh=0.1))
    run = db.runs.get(lease.run_id)
    assert (run.energy_kwh, run.co2_g, run.unknown_energy_epochs) == (0.2, None, 0)


def test_one_estimated_epoch_makes_the_run_estimated(db: RedisDB) -> None:
    lease = running(db)
    for number, quality in ((1, "measured"), (2, "estimated"), (3, "measured")):
        db.runs.record_epoch(lease, epoch(number, energy_kwh=0.1, energy_quality=quality))
    assert db.runs.get(lease.run_id).energy_quality == "estimated"


@pytest.mark.parametrize("field", ["train_loss", "test_loss", "test_accuracy", "energy_kwh", "duration_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_and_nothing_is_written(
    db: RedisDB, raw: redis.Redis, field: str, value: float
) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.1))
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    broken = EpochResult.model_construct(**{**epoch(2).model_dump(), field: value})
    with pytest.raises(InvalidInput, match="finite"):
        db.runs.record_epoch(lease, broken)
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before


def test_a_sum_that_would_not_be_finite_is_refused_and_nothing_is_written(
    db: RedisDB, raw: redis.Redis
) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=1.5e308))
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    with pytest.raises(InvalidInput, match="energy_kwh"):
        db.runs.record_epoch(lease, epoch(2, energy_kwh=1.5e308))
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before


def test_what_was_used_besides_the_epochs_is_in_the_sums_once_per_attempt(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_extra(lease, extra())
    db.runs.record_epoch(lease, epoch(1, energy_kwh=1.0, co2_g=100, test_accuracy=0.6))
    db.runs.record_extra(lease, extra())

    run = db.runs.get(lease.run_id)
    assert (run.energy_kwh, run.co2_g, run.duration_s) == (1.5, 150, 4.5)
    assert run.accuracy_per_kwh == pytest.approx(0.4)
    assert run.energy_quality == "measured"
    assert run.environment == {"batch_trial_energy_kwh": 0.5}
    (attempt,) = db.runs.list_attempts(lease.run_id)
    assert (attempt.energy_kwh, attempt.co2_g, attempt.duration_s) == (1.5, 150, 4.5)
    assert [run.run_id for run in db.runs.list(SortField.ENERGY_KWH).runs] == [lease.run_id]

    db.runs.record_extra(
        restart(db, lease), extra(attempt=2, energy_kwh=0.25, co2_g=25, energy_quality="estimated")
    )
    run = db.runs.get(lease.run_id)
    assert (run.energy_kwh, run.co2_g, run.duration_s) == (1.75, 175, 8.5)
    assert run.accuracy_per_kwh == pytest.approx(0.6 / 1.75)
    assert run.energy_quality == "estimated"
    with pytest.raises(LeaseLost):
        db.runs.record_extra(lease, extra(name="compile"))


def test_an_unknown_extra_makes_the_sums_unknown(db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=1.0, co2_g=100))
    db.runs.record_extra(lease, extra(energy_kwh=None, co2_g=None, energy_quality=None))
    run = db.runs.get(lease.run_id)
    assert (run.energy_kwh, run.co2_g, run.duration_s) == (None, None, 4.5)
    assert run.accuracy_per_kwh is None
    assert run.unknown_energy_epochs == 0
    assert run.environment == {"batch_trial_energy_kwh": None}


def test_facts_are_merged_into_the_environment(db: RedisDB) -> None:
    lease = running(db)
    db.runs.describe(lease, {"device": "cpu", "threads": 2, "deterministic": True})
    db.runs.describe(lease, {"threads": 4, "commit": None, "share": 0.1})
    db.runs.describe(lease, {})
    expected = {"device": "cpu", "threads": 4, "deterministic": True, "commit": None, "share": 0.1}
    assert db.runs.get(lease.run_id).environment == expected
    with pytest.raises(InvalidInput, match="finite"):
        db.runs.describe(lease, {"share": math.nan})


def test_epochs_and_sparklines_of_many_runs_come_in_one_go(db: RedisDB) -> None:
    long, short = running(db, worker_id="w1"), running(db, worker_id="w2")
    for number in range(1, 101):
        db.runs.record_epoch(long, epoch(number, test_accuracy=number / 100))
    db.runs.record_epoch(short, epoch(1, test_accuracy=0.25))
    ids = [long.run_id, short.run_id, "missing"]
    lines = db.runs.list_sparklines(ids)
    assert (len(lines[long.run_id]), lines[long.run_id][0], lines[long.run_id][-1]) == (24, 0.01, 1)
    assert lines[long.run_id] == sorted(lines[long.run_id])
    assert (lines[short.run_id], lines["missing"]) == ([0.25], [])
    assert {key: len(found) for key, found in db.runs.list_epochs_of(ids).items()} == {
        long.run_id: 100,
        short.run_id: 1,
        "missing": 0,
    }


def test_runs_are_counted_by_status(db: RedisDB) -> None:
    for number in range(3):
        lease = running(db, worker_id=f"w{number}")
    db.queue.finish(lease, Status.DONE)
    db.queue.submit({"num_epochs": 1})
    counted = {status: count for status, count in db.runs.count_by_status().items() if count}
    assert counted == {Status.RUNNING: 2, Status.DONE: 1, Status.WAITING: 1}
    for sort in SortField:
        for status in (None, Status.DONE, Status.FAILED):
            assert db.runs.list(sort, status=status, limit=1).counts == db.runs.count_by_status()


@pytest.mark.one_server
def test_a_run_of_twenty_epochs_takes_less_than_ten_kibibytes(db: RedisDB, raw: redis.Redis) -> None:
    # More than 128 runs, so that the indexes have the form they have with 100,000.
    runs = 150
    params = {f"hyper_param_{number}": 0.123456789 for number in range(20)}
    facts: dict[str, Scalar] = {f"fact_{number}": "a value of usual length" for number in range(12)}
    facts |= {"idle_power_w": 87.125, "ram_constant_w": 20.0, "pue": 1.0, "codecarbon_energy_kwh": 0.0123456}
    facts |= {"energy_shares": "cpu 96 %, gpu:0 100 %"}
    costs = dict.fromkeys(("energy_kwh", "co2_g", "validation_loss", "validation_accuracy"), 1 / 3)
    for number in range(runs):
        db.queue.submit({"num_epochs": 20, **params})
        lease = claim(db, worker_id=f"w{number}")
        db.runs.describe(lease, facts)
        for epoch_number in range(1, 21):
            result = epoch(
                epoch_number,
                **costs,
                energy_quality="measured",
                intensity_g_per_kwh=384.12,
                energy_by_source={"gpu:0": 1 / 7, "cpu": 1 / 3 - 1 / 7},
                ended_at=datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
            )
            db.runs.record_epoch(lease, result)
        db.runs.record_extra(lease, unfinished(name="rest", duration_s=0.0, energy_kwh=1 / 7, co2_g=1 / 3))
        db.queue.finish(lease, Status.DONE)
    raw.delete("events")
    used = sum(raw.memory_usage(key, samples=0) or 0 for key in raw.scan_iter())
    assert used / runs < 10 * 1024
