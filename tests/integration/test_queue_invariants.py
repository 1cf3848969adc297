"""Whatever happens in whatever order: a run is in exactly one place, and every index agrees with it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import LeaseLost
from redis_db import RedisDB
from schema import Lease, RunOptions, SortField, Status
from tests.records import epoch

QUEUES = ("default", "gpu")
WORKERS = ("w0", "w1", "w2")
LISTS = ("queue:requests", "queue:requests:high", "queue:requests:gpu", "queue:requests:gpu:high")

Step = tuple[str, int, int]
# The second number picks a run, a worker or one of the leases ever given, the last one a variant.
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ("submit", "claim", "claim", "epoch", "epoch", "release", "finish", "expire", "reap", "renew")
        ),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=60,
)


class Play:
    """Workers that do anything, also with leases they lost long ago."""

    def __init__(self, db: RedisDB, raw: redis.Redis) -> None:
        self.db = db
        self.raw = raw
        self.leases: list[Lease] = []

    def do(self, step: Step) -> None:
        name, which, variant = step
        if name == "submit":
            self.submit(which, variant)
        elif name == "claim":
            self.claim(which, variant)
        elif name == "expire":
            self.raw.zadd("queue:leases", {f"r{which}": 1}, xx=True)
        elif name == "reap":
            self.db.queue.requeue_expired(limit=which + 1, grace_s=0)
        elif which < len(self.leases):
            with suppress(LeaseLost):
                self.write(name, self.leases[-1 - which], variant)

    def submit(self, which: int, variant: int) -> None:
        options = {"queue": QUEUES[variant % 2], "priority": ("normal", "high")[variant // 2]}
        self.db.queue.submit({"num_epochs": 3}, RunOptions.model_validate(options), run_id=f"r{which}")

    def claim(self, which: int, variant: int) -> None:
        queues = (QUEUES, QUEUES[::-1], QUEUES[:1], QUEUES[1:])[variant]
        if lease := self.db.queue.claim(queues, worker_id=WORKERS[which], lease_s=60):
            self.leases.append(lease)

    def write(self, name: str, lease: Lease, variant: int) -> None:
        if name == "epoch":
            energy = None if variant == 3 else variant / 10
            result = epoch(1 + variant % 3, test_accuracy=1 / (lease.attempt + variant), energy_kwh=energy)
            self.db.runs.record_epoch(lease, result)
        elif name == "renew":
            self.db.queue.renew(lease, lease_s=60)
        elif name == "release":
            self.db.queue.release(lease, reason="stop")
        else:
            self.db.queue.finish(lease, Status.DONE if variant else Status.FAILED)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_every_run_is_in_exactly_one_place(db: RedisDB, raw: redis.Redis, steps: list[Step]) -> None:
    raw.flushdb()
    play = Play(db, raw)
    for step in steps:
        play.do(step)
        check_places(db, raw)
    check_summaries(db, raw)


def check_places(db: RedisDB, raw: redis.Redis) -> None:
    runs = {run.run_id: run for run in db.runs.list().runs}
    by_status = {
        status: sorted(key for key, run in runs.items() if run.status is status) for status in Status
    }
    waiting = Counter(run_id for key in LISTS for run_id in raw.lrange(key, 0, -1))
    assert sorted(waiting.elements()) == by_status[Status.WAITING]
    assert sorted(raw.zrange("queue:leases", 0, -1)) == by_status[Status.RUNNING]
    held = {run.worker: key for key, run in runs.items() if run.status is Status.RUNNING}
    assert raw.hgetall("queue:holders") == held
    assert len(held) == len(by_status[Status.RUNNING])
    assert raw.smembers("queue:demand") == {*by_status[Status.WAITING], *by_status[Status.RUNNING]}
    for key, run in runs.items():
        attempts = db.runs.list_attempts(key)
        assert [attempt.attempt for attempt in attempts] == list(range(1, run.attempt + 1))
        is_open = [attempt.ended_at is None for attempt in attempts]
        assert is_open.count(True) == (run.status is Status.RUNNING)


def check_summaries(db: RedisDB, raw: redis.Redis) -> None:
    for run in db.runs.list().runs:
        epochs, attempts = db.runs.list_epochs(run.run_id), db.runs.list_attempts(run.run_id)
        assert run.epochs_done == len(epochs)
        assert run.best_accuracy == max((result.test_accuracy for result in epochs), default=None)
        assert run.last_loss == (epochs[-1].test_loss if epochs else None)
        assert [result.attempt for result in epochs] == sorted(result.attempt or 0 for result in epochs)
        trained = [attempt for attempt in attempts if attempt.duration_s]
        known = [attempt.energy_kwh for attempt in trained if attempt.energy_kwh is not None]
        assert (run.energy_kwh is None) == (len(known) < len(trained) or not trained)
        assert run.energy_kwh is None or abs(run.energy_kwh - sum(known)) < 1e-12
        unknown = sum(attempt.unknown_energy_epochs for attempt in attempts)
        assert run.unknown_energy_epochs == unknown
        assert unknown >= sum(result.energy_kwh is None for result in epochs)
        for field in SortField:
            value = getattr(run, field)
            if field is SortField.TIME_ADDED:
                value = value.timestamp()
            scores = {status: raw.zscore(f"runs:by:{field}:{status}", run.run_id) for status in (*Status, "")}
            expected = float("-inf") if value is None else value
            assert raw.zscore(f"runs:by:{field}", run.run_id) == expected
            assert {status: score for status, score in scores.items() if score is not None} == {
                run.status: expected
            }
