"""What the store tells of itself as a whole: figures of the moment, and counts for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schema.accounts import Cost
from schema.records import Status, Worker


@dataclass(frozen=True)
class Spread:
    """How long things took: upper bounds in seconds with how many took no longer, and the sum of all."""

    buckets: tuple[tuple[float, int], ...]
    sum_s: float


@dataclass(frozen=True)
class QueueFigures:
    """The runs that wait in one queue."""

    name: str
    waiting: int
    oldest_s: float
    """How long the one has waited that has waited longest, of those that are next; 0 without any."""


@dataclass(frozen=True)
class WorkerFigures:
    """A live worker, and how much its host keeps on disk for Redis; None where it does not say."""

    worker: Worker
    spool_bytes: int | None


@dataclass(frozen=True)
class MemoryFigures:
    """The memory of Redis; None where it has no limit, or does not tell."""

    used_bytes: int | None
    limit_bytes: int | None


@dataclass(frozen=True)
class ArchiveFigures:
    """The archive, as its last round left it, and how its rounds went; None before the first one."""

    runs: int
    bytes: int | None
    rounds: Mapping[str, int]
    """By how they ended, ok or failed."""
    last_age_s: float | None
    """How long ago the last one ended."""
    good_age_s: float | None
    """How long ago the last one without a problem ended; before that, since when one is waited for."""


@dataclass(frozen=True)
class StoreFigures:
    """Everything ``/metrics`` says that every process says alike."""

    runs: Mapping[Status, int]
    queues: tuple[QueueFigures, ...]
    demand: int
    workers: tuple[WorkerFigures, ...]
    memory: MemoryFigures
    archive: ArchiveFigures
    round_trip_s: float
    events: Mapping[str, int]
    metric_points: int
    log_lines: int
    lease_losses: int
    real: Cost
    simulated: Cost
    starts: Spread
    epochs: Spread
    simulated_epochs: Spread
