"""Ours beside RQ, Celery and Dramatiq: what it costs to queue and to take a run that does nothing.

All on one private Redis with AOF everysec, over TCP, one after the other, in rounds: every ratio is of one
round, its median over the rounds is printed. A drain begins with a full queue and one worker process; the
first tenth of it is not counted. Each job writes down when it ran (``time.monotonic_ns()``), which gives the
rate, and on an idle worker the time from just before the submission to the start. CPU is that of the worker's
processes; that of Redis stands beside it. Workers are as their first steps in the documentation make them:
Celery with late acknowledgement, and neither Celery nor Dramatiq keeps what became of a job, as RQ and ours
do. Peers are installed by ``make peers``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import redis

from bench.claim_cost import ClaimCosts, measure_claims
from bench.contestants import (
    Contestant,
    Stage,
    cpu_s_of,
    describe_machine,
    new_redis,
    ours,
    peer,
    wait_for,
)
from bench.peers.jobs import STAMP
from cli.redis_server import RedisServer

DRAIN_LIMIT_S = 180.0
LATENCY_LIMIT_S = 30.0
IDLE_S = 0.05
WARM_UP = 3


class Entry(NamedTuple):
    """Who takes part, with how many runs per drain and how many submissions to an idle worker."""

    contestant: Contestant
    runs: int
    submissions: int


ENTRIES = (
    Entry(ours("ours", "Wattle", "-m", "bench.peers.ours", "work", "default"), 5000, 200),
    Entry(peer("rq", "RQ SimpleWorker", "rq_peer", "simple", "default"), 2000, 100),
    Entry(peer("dramatiq", "Dramatiq", "dramatiq_peer", "8", "default"), 5000, 100),
    Entry(peer("celery", "Celery, acks late, solo", "celery_peer", "solo", "default"), 3000, 100),
    Entry(
        ours("ours_child", "Wattle, a child per run", "worker.py", "--device", "cpu", "--threads", "1"),
        100,
        20,
    ),
    Entry(peer("rq_fork", "RQ Worker, a fork per job", "rq_peer", "fork", "default"), 200, 20),
)
ROUNDS, QUICK_ROUNDS = 5, 1
QUICK_PART = 5
"""A quick drain has a fifth of the runs."""


@dataclass(frozen=True)
class Drain:
    """One drain of one contestant."""

    runs: int
    enqueue_per_s: float
    drain_per_s: float
    worker_cpu_ms: float
    redis_cpu_ms: float
    latencies_ms: tuple[float, ...]


@dataclass
class Standing:
    """All drains of one contestant; ``reason`` why there is none."""

    contestant: Contestant
    version: str | None
    drains: list[Drain]
    reason: str | None = None

    def median(self, figure: str) -> float | None:
        """Return the median of a figure over the drains."""
        return statistics.median([getattr(drain, figure) for drain in self.drains]) if self.drains else None

    def latency_ms(self, percent: int) -> float | None:
        """Return a percentile of all submissions to an idle worker."""
        found = [latency for drain in self.drains for latency in drain.latencies_ms]
        return statistics.quantiles(found, n=100, method="inclusive")[percent - 1] if len(found) > 1 else None


class Stamps:
    """When the jobs of a drain ran."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def count(self) -> int:
        """Return how many have run."""
        return self._path.stat().st_size // STAMP.size if self._path.exists() else 0

    def read_ns(self) -> list[int]:
        """Return the times, first the earliest."""
        return sorted(at_ns for (at_ns,) in STAMP.iter_unpack(self._path.read_bytes()))


def drain(stage: Stage, runs: int, submissions: int) -> Drain:
    """Fill the queue, let one worker empty it, then submit to it while it is idle."""
    stamps = Stamps(stage.stamps)
    enqueue_s = float(stage.producer.ask(json.dumps({"noops": runs}))["seconds"])
    assert stage.redis.process is not None
    server = psutil.Process(stage.redis.process.pid)
    worker = stage.start_worker()
    _wait_for_runs(stage, stamps, runs // 10)
    first = stamps.count()
    before_s = cpu_s_of(worker), cpu_s_of(server)
    _wait_for_runs(stage, stamps, runs)
    after_s = cpu_s_of(worker), cpu_s_of(server)
    at_ns = stamps.read_ns()
    counted = runs - first
    worker_cpu_ms, redis_cpu_ms = (
        1000 * (after - before) / counted for before, after in zip(before_s, after_s, strict=True)
    )
    return Drain(
        runs=runs,
        enqueue_per_s=runs / enqueue_s,
        drain_per_s=counted / ((at_ns[-1] - at_ns[first - 1]) / 1e9),
        worker_cpu_ms=worker_cpu_ms,
        redis_cpu_ms=redis_cpu_ms,
        latencies_ms=tuple(_submit_to_idle(stage, stamps, submissions)),
    )


def _wait_for_runs(stage: Stage, stamps: Stamps, runs: int) -> None:
    if not wait_for(lambda: stamps.count() >= runs, limit_s=DRAIN_LIMIT_S, every_s=0.005):
        raise SystemExit(
            f"{stage.contestant.title} ran {stamps.count()} of {runs} in {DRAIN_LIMIT_S:g} s.\n"
            + stage.last_words()
        )


def _submit_to_idle(stage: Stage, stamps: Stamps, submissions: int) -> Sequence[float]:
    """Return the milliseconds from just before each submission to its start; fewer when time runs out."""
    latencies_ms: list[float] = []

    def submit_one() -> bool:
        # Until it has had time to notice that nothing is left, a worker is not idle.
        time.sleep(IDLE_S)
        known = stamps.count()
        began_ns = stage.producer.ask(json.dumps({"noops": 1}))["began_ns"]
        _wait_for_runs(stage, stamps, known + 1)
        latencies_ms.append((stamps.read_ns()[-1] - began_ns) / 1e6)
        return len(latencies_ms) >= WARM_UP + submissions

    wait_for(submit_one, limit_s=LATENCY_LIMIT_S, every_s=0)
    return latencies_ms[WARM_UP:]


def run_rounds(entries: Sequence[Entry], rounds: int, server: RedisServer, folder: Path) -> list[Standing]:
    """Let all drain in every round, each time another one first."""
    standings = [Standing(entry.contestant, None, []) for entry in entries]
    for number in range(rounds):
        for place in range(len(entries)):
            index = (place + number) % len(entries)
            entry, standing = entries[index], standings[index]
            if standing.reason:
                continue
            with redis.Redis.from_url(server.url) as client:
                client.flushall()
            with Stage(entry.contestant, server, folder / f"{number}-{entry.contestant.name}") as stage:
                standing.version, standing.reason = stage.version, stage.producer.reason
                if standing.reason is None:
                    standing.drains.append(drain(stage, entry.runs, entry.submissions))
                    _show_drain(number, standing)
    return standings


def _show_drain(number: int, standing: Standing) -> None:
    last = standing.drains[-1]
    print(
        f"round {number + 1}: {standing.contestant.title:26} enqueued {last.enqueue_per_s:7,.0f}/s, "
        f"drained {last.drain_per_s:7,.0f}/s, CPU per run {last.worker_cpu_ms:7.3f} ms, of Redis "
        f"{last.redis_cpu_ms:6.3f} ms (n={last.runs}), submit to start p50 {_median(last.latencies_ms)} ms "
        f"(n={len(last.latencies_ms)})",
        flush=True,
    )


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else "unknown"


def ratio(ours: Standing, other: Standing, figure: str = "drain_per_s") -> float | None:
    """Return the median over the rounds of our figure over the other's; None when one was not measured."""
    pairs = list(zip(ours.drains, other.drains, strict=False))
    ratios = [getattr(one, figure) / getattr(two, figure) for one, two in pairs]
    return round(statistics.median(ratios), 2) if ratios else None


def summarise(standings: Sequence[Standing], claims: ClaimCosts) -> dict[str, Any]:
    """Return the last line."""
    by_name = {standing.contestant.name: standing for standing in standings}
    figures: dict[str, Any] = {}
    for name, standing in by_name.items():
        figures |= _figures_of(name, standing)
    goals = {
        "ours_over_rq_drain": ratio(by_name["ours"], by_name["rq"]),
        "ours_over_celery_drain": ratio(by_name["ours"], by_name["celery"]),
        "ours_over_dramatiq_drain": ratio(by_name["ours"], by_name["dramatiq"]),
        "ours_child_over_rq_fork_drain": ratio(by_name["ours_child"], by_name["rq_fork"]),
        "rq_over_ours_cpu": ratio(by_name["rq"], by_name["ours"], "worker_cpu_ms"),
    }
    return figures | goals | claims.figures()


def _figures_of(name: str, standing: Standing) -> Mapping[str, Any]:
    figures: dict[str, Any] = {
        f"{name}_drain_per_s": _rounded(standing.median("drain_per_s"), 0),
        f"{name}_enqueue_per_s": _rounded(standing.median("enqueue_per_s"), 0),
        f"{name}_cpu_ms_per_run": _rounded(standing.median("worker_cpu_ms"), 3),
        f"{name}_redis_cpu_ms_per_run": _rounded(standing.median("redis_cpu_ms"), 3),
        f"{name}_latency_ms_p50": _rounded(standing.latency_ms(50), 2),
        f"{name}_latency_ms_p99": _rounded(standing.latency_ms(99), 2),
        f"{name}_runs": sum(one.runs for one in standing.drains),
        f"{name}_submissions": sum(len(one.latencies_ms) for one in standing.drains),
        f"{name}_version": standing.version,
    }
    return figures | ({f"{name}_reason": standing.reason} if standing.reason else {})


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.queue", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"one round, 1/{QUICK_PART} of the runs; under 90 s"
    )
    is_quick = parser.parse_args(arguments).quick
    part, rounds = (QUICK_PART, QUICK_ROUNDS) if is_quick else (1, ROUNDS)
    entries = [Entry(one, runs // part, submissions // part) for one, runs, submissions in ENTRIES]
    machine = describe_machine()
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as name:
        folder = Path(name)
        server = new_redis(folder / "redis")
        server.start()
        try:
            with redis.Redis.from_url(server.url) as client:
                version = client.info("server")["redis_version"]
            standings = run_rounds(entries, rounds, server, folder)
            claims = measure_claims(server.url)
        finally:
            server.stop()
    facts = {"rounds": rounds, "quick": is_quick, "redis": version, **machine}
    print(json.dumps(summarise(standings, claims) | facts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
