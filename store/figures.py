"""The store as a whole in figures; what they cost does not grow with the number of runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from schema import (
    DEFAULT_QUEUE,
    RUN_ID_PATTERN,
    ArchiveFigures,
    MemoryFigures,
    QueueFigures,
    Status,
    StoreFigures,
    Worker,
    WorkerFigures,
)
from store.accounts import read_cost
from store.archive_facts import complete_facts
from store.buckets import read_spread
from store.connection import Argument, Connection, Reply
from store.keys import Keys
from store.paging import keys_of_status
from store.workers import SPOOL_BYTES, Workers

# Of each list so many are looked at: what lost its worker is put before those that have waited for longer.
NEXT: Final = 10
# Names of queues are people's to choose; whoever watches keeps each for good.
MAX_QUEUES: Final = 100
OTHER_QUEUES: Final = "(other)"
_EVENTS: Final = "events:"
_INDEXES: Final = 3
_MOMENTS: Final = ("since", "ended_at", "good_at")


class Figures:
    """What ``/metrics`` tells of the store."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._workers = Workers(connection, keys)

    def read(self) -> StoreFigures:
        """Read everything, in six round trips."""
        began_s = time.monotonic()
        self._connection.call("PING")
        round_trip_s = time.monotonic() - began_s
        indexes = [key for status in Status for key in keys_of_status(self._keys, status)]
        names, demand, counters, totals, memory, archived, facts, now, *sizes = self._connection.call_many(
            [
                ("SMEMBERS", self._keys.of("queue_names")),
                ("SCARD", self._keys.of("demand")),
                ("HGETALL", self._keys.of("counters")),
                ("HGETALL", self._keys.of("total_all")),
                ("INFO", "memory"),
                ("HLEN", self._keys.of("archived")),
                ("HGETALL", self._keys.of("archive_facts")),
                ("TIME",),
                *(("ZCARD", key) for key in indexes),
            ]
        )
        workers = self._workers.list_live()
        served = {queue for worker in workers for queue in worker.queues}
        return StoreFigures(
            runs=dict(zip(Status, map(sum, _groups(sizes, _INDEXES)), strict=True)),
            queues=self._list_queues({DEFAULT_QUEUE, *served, *names}),
            demand=demand,
            workers=self._add_spools(workers),
            memory=MemoryFigures(memory.get("used_memory"), memory.get("maxmemory") or None),
            archive=_archive(archived, complete_facts(facts), float(now[0])),
            round_trip_s=round_trip_s,
            events=_events(counters),
            metric_points=int(counters.get("metric_points", 0)),
            log_lines=int(counters.get("log_lines", 0)),
            lease_losses=int(counters.get("lease_losses", 0)),
            real=read_cost(totals, ""),
            simulated=read_cost(totals, "simulated_"),
            starts=read_spread("start_seconds", counters),
            epochs=read_spread("epoch_seconds", counters),
            simulated_epochs=read_spread("simulated_epoch_seconds", counters),
        )

    def _list_queues(self, names: Iterable[str]) -> tuple[QueueFigures, ...]:
        """Count who waits in each queue, and since when."""
        queues = sorted(names)
        lists = [self._keys.waiting(queue, high=high) for queue in queues for high in (True, False)]
        looks: list[Sequence[Argument]] = []
        for key in lists:
            looks += [("LLEN", key), ("LRANGE", key, -NEXT, -1)]
        *replies, (seconds, microseconds) = self._connection.call_many([*looks, ("TIME",)])
        now_s = float(f"{seconds}.{int(microseconds):06d}")
        lengths = [sum(pair) for pair in _groups(replies[::2], 2)]
        following = [[*high, *normal] for high, normal in _groups(replies[1::2], 2)]
        since = self._since([run for own in following for run in own if re.fullmatch(RUN_ID_PATTERN, run)])
        figures = [
            QueueFigures(queue, length, max([0.0, *(now_s - since[run] for run in own if run in since)]))
            for queue, length, own in zip(queues, lengths, following, strict=True)
        ]
        return tuple(_limited(figures))

    def _since(self, entries: Sequence[str]) -> dict[str, float]:
        """Read since when runs wait; entries that are no runs are left out."""
        replies = self._connection.call_many(
            [("HMGET", self._keys.of("run", entry), "waiting_since", "time_added") for entry in entries]
        )
        return {
            entry: float(waiting_since or added)
            for entry, (waiting_since, added) in zip(entries, replies, strict=True)
            if added
        }

    def _add_spools(self, workers: Sequence[Worker]) -> tuple[WorkerFigures, ...]:
        spools = self._connection.call_many(
            [("HGET", self._keys.of("worker", worker.worker_id), SPOOL_BYTES) for worker in workers]
        )
        return tuple(
            WorkerFigures(worker, None if spool is None else int(spool))
            for worker, spool in zip(workers, spools, strict=True)
        )


def _groups(items: Sequence[Reply], size: int) -> Iterator[Sequence[Reply]]:
    return (items[place : place + size] for place in range(0, len(items), size))


def _archive(runs: int, facts: Mapping[str, str], now_s: float) -> ArchiveFigures:
    since = {name: max(0.0, now_s - float(facts[name])) for name in _MOMENTS if name in facts}
    return ArchiveFigures(
        runs=runs,
        bytes=int(facts["bytes"]) if "bytes" in facts else None,
        rounds={result: int(facts.get(f"rounds:{result}", 0)) for result in ("ok", "failed")},
        last_age_s=since.get("ended_at"),
        good_age_s=since.get("good_at", since.get("since")),
    )


def _events(counters: Mapping[str, Reply]) -> dict[str, int]:
    return {
        name.removeprefix(_EVENTS): int(counters[name])
        for name in sorted(counters)
        if name.startswith(_EVENTS)
    }


def _limited(figures: Sequence[QueueFigures]) -> Iterator[QueueFigures]:
    """Yield the longest queues; the others as one."""
    if len(figures) <= MAX_QUEUES:
        yield from figures
        return
    ranked = sorted(figures, key=lambda queue: (queue.name != DEFAULT_QUEUE, -queue.waiting, queue.name))
    yield from ranked[: MAX_QUEUES - 1]
    others = ranked[MAX_QUEUES - 1 :]
    waiting, oldest_s = sum(queue.waiting for queue in others), max(queue.oldest_s for queue in others)
    yield QueueFigures(OTHER_QUEUES, waiting, oldest_s)
