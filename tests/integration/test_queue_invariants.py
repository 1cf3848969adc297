"""Whatever happens in whatever order: a run is in exactly one place, and every index agrees with it.

200 steps in a row; 2,000 with HYPOTHESIS_PROFILE=nightly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import ClassVar, Literal

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from errors import Conflict, LeaseLost, NotFound
from redis_db import RedisDB
from schema import (
    CarbonOptions,
    CarbonPlan,
    Lease,
    Requires,
    Run,
    RunError,
    RunOptions,
    SortField,
    Status,
    planned_queue,
    requirement_queue,
)
from store.paging import name_key
from tests.records import epoch, extra, plan
from tests.stated_runs import Scripts

NEEDS = Requires(gpus=2, zone="DE")
ZONES = ("DE", "FR")
NAMES = ("default", "gpu", "zone-de", "zone-fr")
QUEUES = (*NAMES, *(requirement_queue(name, NEEDS) for name in NAMES[1:]))
LISTS = [
    f"queue:requests{'' if name == 'default' else f':{name}'}{high}"
    for name in QUEUES
    for high in ("", ":high")
]
LATER = datetime(2100, 1, 1, tzinfo=UTC)
PAST = datetime(2026, 1, 1, tzinfo=UTC)
RETRYABLE = RunError(kind="OSError", message="the disk is full", is_retryable=True)
Ending = Literal[Status.DONE, Status.FAILED, Status.CANCELLED]
WISHES = ("cancel", "pause", "resume", "run_now", "preempt", "retry", "delete")
GREEN = (CarbonOptions(), CarbonOptions(zones=ZONES), CarbonOptions(interruptible=False))

# What hypothesis draws is a few steps at once: of single ones it would not draw 2,000.
BURST = 5


class Workers(RuleBasedStateMachine):
    """Workers and people who do anything, the workers also with leases they lost long ago."""

    db: ClassVar[RedisDB]
    raw: ClassVar[redis.Redis]

    def __init__(self) -> None:
        super().__init__()
        self.raw.flushdb()
        self.leases: list[Lease] = []
        self.accepted: set[str] = set()
        self.done: set[str] = set()
        self.run_now: set[str] = set()
        self.seen: dict[str, Run] = {}
        self.plans = 0
        self.attempts: Counter[str] = Counter()
        self.random = Random(0)  # noqa: S311 # chooses steps, hides nothing
        self.scripts = Scripts(self.db, self.raw, self.random)
        self.kinds: dict[Callable[[], None], int] = {
            self.submit: 4,
            self.claim: 6,
            self.record: 4,
            self.charge: 1,
            self.let_go: 3,
            self.finish: 3,
            self.lose: 2,
            self.jump_to_due: 2,
            self.control: 5,
            self.prioritise: 1,
            self.look: 2,
            self.replan: 5,
            self.postpone: 5,
            self.scripts.begin: 2,
            self.scripts.send: 5,
            self.scripts.end: 1,
            self.scripts.reopen: 1,
            self.scripts.fall_silent: 1,
            self.scripts.control: 2,
        }

    @rule(seed=st.integers(0, 2**32 - 1))
    def go_on(self, seed: int) -> None:
        self.random.seed(seed)
        for step in self.random.choices([*self.kinds], [*self.kinds.values()], k=BURST):
            step()
            self.check()

    def run_id(self) -> str:
        return f"r{self.random.randrange(5)}"

    def is_so(self) -> bool:
        return self.random.random() < 0.5

    def lease(self) -> Lease | None:
        """One of the leases given last; it may be lost."""
        return self.random.choice(self.leases[-4:]) if self.leases else None

    def submit(self) -> None:
        kind, run_id = self.random.randrange(3), self.run_id()
        options = RunOptions(
            queue=("default", "gpu", "gpu")[kind],
            priority="high" if self.is_so() else "normal",
            requires=NEEDS if kind == 2 else None,
            start_at=LATER if kind == 1 and self.is_so() else None,
            max_failures=1 + kind,
            carbon=self.random.choice([None, *GREEN]),
        )
        made = self.plan() if self.is_so() else None
        self.db.queue.submit({"num_epochs": 3, "simulated": self.is_so()}, options, run_id=run_id, plan=made)
        self.accepted.add(run_id)

    def claim(self) -> None:
        worker_id = f"w{self.random.randrange(3)}"
        for _ in range(1 + self.is_so()):  # the second time as if the reply had been lost
            queues = self.random.sample(QUEUES, len(QUEUES))
            if lease := self.db.queue.claim(queues, worker_id=worker_id, lease_s=60):
                self.leases.append(lease)

    def record(self) -> None:
        if lease := self.lease():
            number = self.random.randint(1, 3)
            energy = self.random.choice([None, 0.0, 0.1, 0.2])
            result = epoch(number, test_accuracy=1 / (lease.attempt + number), energy_kwh=energy)
            with suppress(LeaseLost):
                self.db.runs.record_epoch(lease, result)

    def charge(self) -> None:
        if lease := self.lease():
            with suppress(LeaseLost):
                self.db.runs.record_extra(lease, extra(attempt=lease.attempt))

    def let_go(self) -> None:
        if lease := self.lease():
            with suppress(LeaseLost):
                if self.is_so():
                    self.db.queue.renew(lease, lease_s=60)
                else:
                    self.db.queue.release(lease, reason="stop")

    def finish(self) -> None:
        ends: list[Ending] = [Status.DONE, Status.FAILED, Status.FAILED, Status.CANCELLED]
        status = self.random.choice(ends)
        error = RETRYABLE if status is Status.FAILED and self.is_so() else None
        if lease := self.lease():
            with suppress(LeaseLost):
                for _ in range(1 + self.is_so()):
                    self.db.queue.finish(lease, status, error=error)
                if status is Status.DONE:
                    self.done.add(lease.run_id)

    def lose(self) -> None:
        self.raw.zadd("queue:leases", {self.run_id(): 1}, xx=True)
        self.db.queue.requeue_expired(limit=self.random.randint(1, 3), grace_s=0)

    def jump_to_due(self) -> None:
        self.raw.zadd("queue:deferred", {self.run_id(): 1}, xx=True)
        self.db.queue.promote_due()

    def control(self) -> None:
        run_id, wish = self.run_id(), self.random.choice(WISHES)
        with suppress(Conflict, NotFound):
            before = self.db.runs.get(run_id)
            getattr(self.db.controls, wish)(run_id)
            is_stopped = before.status is Status.DEFERRED or before.is_postponed
            if wish == "run_now" or (wish == "resume" and is_stopped):
                self.run_now.add(run_id)
            if wish == "delete":
                self.accepted.discard(run_id)
                self.done.discard(run_id)
                self.run_now.discard(run_id)
                self.seen.pop(run_id, None)
                self.leases = [lease for lease in self.leases if lease.run_id != run_id]
                del self.attempts[run_id]

    def prioritise(self) -> None:
        with suppress(Conflict, NotFound):
            self.db.controls.set_priority(self.run_id(), "high" if self.is_so() else "normal")

    def plan(self) -> CarbonPlan:
        """A plan for now, later or much later, in one of two zones."""
        start_at = self.random.choice([PAST, LATER, LATER + timedelta(days=1)])
        self.plans += 1
        made_at = PAST + timedelta(hours=self.plans)
        next_at = made_at + timedelta(hours=1)
        return plan(start_at, zone=self.random.choice(ZONES), made_at=made_at, next_at=next_at)

    def look(self) -> None:
        """See runs as they are now, to plan them later, when they may be as they were no more."""
        self.seen |= {run.run_id: run for run in self.db.carbon.list_due() if self.is_so()}

    def sight(self) -> Run | None:
        """A run as it is, or as it was."""
        run_id = self.run_id()
        return self.seen.get(run_id) if self.is_so() else self.db.runs.find(run_id)

    def replan(self) -> None:
        if seen := self.sight():
            made, before = self.plan(), self.db.runs.get(seen.run_id)
            for _ in range(1 + self.is_so()):  # the second time as if the reply had been lost
                after = self.db.carbon.replan(seen, made)
            assert self.db.runs.get(seen.run_id) == (after or before)
            if after and after.status is not Status.RUNNING:
                assert (after.status is Status.WAITING) == (after.due_at is None)
                assert after.due_at is None or after.due_at >= made.start_at

    def postpone(self) -> None:
        if seen := self.sight():
            made, before = self.plan(), self.db.runs.get(seen.run_id)
            for _ in range(1 + self.is_so()):
                after = self.db.carbon.postpone(seen, made)
            assert self.db.runs.get(seen.run_id) == (after or before)
            if after:
                assert after.options.carbon
                assert after.is_postponed
                assert after.options.carbon.interruptible

    def check(self) -> None:
        every = {run.run_id: run for run in self.db.runs.list().runs}
        found = {key: run for key, run in every.items() if not run.is_external}
        self.scripts.check({key: run for key, run in every.items() if run.is_external})
        check_places(found, self.raw)
        check_records(found, self.db)
        assert set(found) == self.accepted, "an accepted run is lost, or a deleted one is back"
        assert {key for key, run in found.items() if run.status is Status.DONE} == self.done
        for key, run in found.items():
            assert run.attempt >= self.attempts[key], "an attempt only rises"
            self.attempts[key] = run.attempt
        self.check_plans(found)

    def check_plans(self, found: dict[str, Run]) -> None:
        follow = {key for key, run in found.items() if run.options.carbon is not None}
        ended = {key for key in follow if found[key].status.is_final}
        paused = {key for key in follow if found[key].status is Status.PAUSED}
        assert set(self.raw.zrange("queue:carbon", 0, -1)) == follow - ended - paused - self.run_now
        assert set(self.raw.zrange("carbon:unsettled", 0, -1)) == ended
        for key, run in found.items():
            assert run.carbon is None or (key in follow and run.carbon.is_override == (key in self.run_now))
            assert not run.is_postponed or (run.request == "preempt" and key in follow - self.run_now)

    def teardown(self) -> None:
        self.scripts.check_points()
        check_summaries(self.db, self.raw)


def check_places(found: dict[str, Run], raw: redis.Redis) -> None:
    by_status = {status: {key for key, run in found.items() if run.status is status} for status in Status}
    waiting = Counter(run_id for key in LISTS for run_id in raw.lrange(key, 0, -1))
    assert sorted(waiting.elements()) == sorted(by_status[Status.WAITING])
    assert set(raw.zrange("queue:leases", 0, -1)) == by_status[Status.RUNNING]
    assert set(raw.zrange("queue:deferred", 0, -1)) == by_status[Status.DEFERRED]
    assert set(raw.zrange("queue:paused", 0, -1)) == by_status[Status.PAUSED]
    held = {run.worker: key for key, run in found.items() if run.status is Status.RUNNING}
    assert raw.hgetall("queue:holders") == held
    assert len(held) == len(by_status[Status.RUNNING])
    assert raw.smembers("queue:demand") == by_status[Status.WAITING] | by_status[Status.RUNNING]
    for key in by_status[Status.WAITING]:
        options = found[key].options
        queue = requirement_queue(planned_queue(options, found[key].carbon), options.requires)
        suffix = ("" if queue == "default" else f":{queue}") + (":high" if options.priority == "high" else "")
        assert key in raw.lrange(f"queue:requests{suffix}", 0, -1)
        assert options.requires is None or raw.hexists("queue:requirements", queue)


def check_records(found: dict[str, Run], db: RedisDB) -> None:
    for key, run in found.items():
        assert run.request is None or run.status is Status.RUNNING
        assert (run.due_at is not None) == (run.status is Status.DEFERRED)
        assert (run.paused_at is not None) == (run.status is Status.PAUSED)
        assert (run.ended_at is not None) == run.status.is_final
        assert run.failures <= run.options.max_failures + 1
        attempts = db.runs.list_attempts(key)
        assert [attempt.attempt for attempt in attempts] == list(range(1, run.attempt + 1))
        is_open = [attempt.ended_at is None for attempt in attempts]
        assert is_open.count(True) == (run.status is Status.RUNNING)


def check_summaries(db: RedisDB, raw: redis.Redis) -> None:
    scores = {}
    for key in raw.scan_iter("runs:*"):
        scores[key] = {run_id: raw.zscore(key, str(run_id)) for run_id in raw.zrange(key, 0, -1)}
    expected: dict[str, dict[str, float]] = {}
    for run in db.runs.list().runs:
        for index, score in indexes_of(run).items():
            expected.setdefault(index, {})[run.run_id] = score
        if run.is_external:
            continue
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
    assert scores == expected


def indexes_of(run: Run) -> dict[str, float]:
    """Return the indexes a run has to be in, and its score there."""
    kind = "simulated:" if run.simulated else ""
    added = run.time_added.timestamp()
    own: dict[str, float] = {}
    if run.name is not None:
        own[f"runs:named:{name_key(run.name)}"] = added
        if run.status is Status.RUNNING:
            own["runs:external"] = run.heard_at.timestamp() if run.heard_at else -1
    if run.duration_s is None:
        return {**own, "runs:by:time_added": added, f"runs:{kind}blank:{run.status}": added}
    scores = {**own, "runs:by:time_added": added, f"runs:by:time_added:{run.status}": added}
    for field in set(SortField) - {SortField.TIME_ADDED}:
        value = getattr(run, field)
        scores[f"runs:{kind}by:{field}:{run.status}"] = float("-inf") if value is None else value
    return scores


def test_every_run_is_in_exactly_one_place(db: RedisDB, raw: redis.Redis) -> None:
    machine = type("BoundWorkers", (Workers,), {"db": db, "raw": raw})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=settings().stateful_step_count // BURST,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
