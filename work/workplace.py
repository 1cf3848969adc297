"""What every run of a worker has in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from carbon_aware_trainer.energy import EnergyMonitor
from redis_db import RedisDB
from scheduling import InForce
from schema import Scalar, Worker
from settings import Settings
from traces import Traces, Untraced
from work.signals import Stop
from work.threads import ThreadShare

# Told the id of the run and its recorded epochs; returns True when the worker was asked to drain.
OnBeat = Callable[[str | None, int | None], bool]


@dataclass(frozen=True)
class Workplace:
    """Where a worker works, and what it works with."""

    db: RedisDB
    settings: Settings
    worker: Worker
    threads: ThreadShare
    sampler: EnergyMonitor
    grid: InForce
    facts: dict[str, Scalar]
    stop: Stop
    on_beat: OnBeat
    """Called about once a second: heartbeat and housekeeping."""
    traces: Traces = field(default_factory=Untraced)

    @property
    def worker_id(self) -> str:
        """Its name in every fence."""
        return self.worker.worker_id
