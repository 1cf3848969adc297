"""What a random walk through the queue does with runs of scripts, and what must hold then."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final, Literal

import redis

from errors import Conflict, NotFound
from redis_db import RedisDB
from schema import ExperimentRequest, MetricPoints, PointsRequest, Run, Status

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES: Final = ("val_accuracy", "loss", "energy_kwh", "co2_g")
VALUES: Final = (0.0, 0.125, 0.5, 1.0, 2.0, -1.0, "NaN", "Infinity")
Point = tuple[int, float]
Ending = Literal[Status.DONE, Status.FAILED, Status.CANCELLED]


class Scripts:
    """Scripts that report, repeat themselves, fall silent and end, and a book of what was accepted."""

    def __init__(self, db: RedisDB, raw: redis.Redis, random: Random) -> None:
        self.db, self.raw, self.random = db, raw, random
        self.points: dict[str, dict[str, list[Point]]] = {}
        self.last: dict[tuple[str, str], int] = {}

    def run_id(self) -> str:
        return f"x{self.random.randrange(3)}"

    def begin(self) -> None:
        run_id = self.run_id()
        request = ExperimentRequest(name=self.random.choice("ab"), params={"lr": 1})
        begun = self.db.external.begin(request, run_id=run_id)
        assert begun.is_new == (run_id not in self.points)
        self.points.setdefault(run_id, {})

    def send(self) -> None:
        """Send a batch: a new one, one that came before, or one behind a gap."""
        run_id, session = self.run_id(), self.random.choice("st")
        if run_id not in self.points:
            return
        last = self.last.get((run_id, session), 0)
        number = max(1, last + self.random.choice([-1, 0, 1, 1, 1, 3]))
        drawn = {name: self.draw() for name in self.random.sample(NAMES, self.random.randint(0, 3))}
        reply = self.db.metrics.record(
            run_id,
            PointsRequest(session=session, seq=number, points=drawn),
            at=NOON,
        )
        if number <= last:
            assert reply.accepted == 0
            return
        self.last[run_id, session] = number
        for name, own in drawn.items():
            stated = [(step, float(value)) for step, value in zip(own.steps, own.values, strict=True)]
            self.points[run_id].setdefault(name, []).extend(stated)

    def draw(self) -> MetricPoints:
        count = self.random.randint(1, 3)
        steps = [self.random.randrange(5) for _ in range(count)]
        values = [self.random.choice(VALUES) for _ in range(count)]
        return MetricPoints(steps=steps, values=values, times=[0.0] * count)

    def end(self) -> None:
        ends: list[Ending] = [Status.DONE, Status.FAILED, Status.CANCELLED]
        with suppress(Conflict, NotFound):
            self.db.external.end(self.run_id(), self.random.choice(ends))

    def reopen(self) -> None:
        with suppress(NotFound):
            self.db.external.reopen(self.run_id())

    def fall_silent(self) -> None:
        self.raw.zadd("runs:external", {self.run_id(): 1}, xx=True)
        self.db.external.end_silent(900)

    def control(self) -> None:
        run_id = self.run_id()
        wish = self.random.choice(("cancel", "pause", "resume", "run_now", "preempt", "retry", "delete"))
        before = self.db.runs.find(run_id)
        try:
            getattr(self.db.controls, wish)(run_id)
        except (Conflict, NotFound):
            assert self.db.runs.find(run_id) == before
            return
        assert wish in ("cancel", "delete"), "only these two mean anything to a script"
        if wish == "delete":
            del self.points[run_id]
            self.last = {key: number for key, number in self.last.items() if key[0] != run_id}

    def check(self, found: dict[str, Run]) -> None:
        """Compare the store with the book."""
        assert set(found) == set(self.points), "a run is lost, or a deleted one is back"
        running = {key for key, run in found.items() if run.status is Status.RUNNING}
        assert set(self.raw.zrange("runs:external", 0, -1)) == running
        for key, run in found.items():
            known = {metric.name: metric for metric in self.db.metrics.list(run)}
            assert {name: metric.count for name, metric in known.items()} == {
                name: len(own) for name, own in self.points[key].items()
            }
            check_summary(run, self.points[key])
            assert run.request in (None, "cancel")
            assert run.request is None or run.status is Status.RUNNING
            assert (run.ended_at is not None) == run.status.is_final

    def check_points(self) -> None:
        """Compare every point, in its order."""
        for key, metrics in self.points.items():
            for name, own in metrics.items():
                kept = self.db.metrics.get(key, name)
                stored = list(zip(kept["step"].tolist(), kept["value"].tolist(), strict=True))
                assert repr(stored) == repr(sorted(own, key=lambda point: point[0]))


def check_summary(run: Run, metrics: dict[str, list[Point]]) -> None:
    accuracies = [value for _, value in metrics.get("val_accuracy", []) if value - value == 0]
    is_share = bool(accuracies) and all(0 <= value <= 1 for value in accuracies)
    assert run.best_accuracy == (max(accuracies) if is_share else None)
    losses = sorted(metrics.get("loss", []), key=lambda point: point[0])
    last = losses[-1][1] if losses else None
    assert run.last_loss == (last if last is not None and last - last == 0 else None)
    for field, name in (("energy_kwh", "energy_kwh"), ("co2_g", "co2_g")):
        values = [value for _, value in metrics.get(name, [])]
        is_known = bool(values) and all(value - value == 0 for value in values) and sum(values) >= 0
        assert getattr(run, field) == (sum(values) if is_known else None)
