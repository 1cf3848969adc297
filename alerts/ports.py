"""What alerts need of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from schema import (
    Alert,
    AlertRule,
    Batch,
    ChannelState,
    Cost,
    Delivery,
    EpochResult,
    Event,
    Look,
    RuleState,
    Run,
    RunList,
    Status,
    Worker,
)


class AlertStore(Protocol):
    """Rules, how they stand, and what waits to be told."""

    def has_rules(self) -> bool:
        """Tell whether there is any rule."""

    def list_rules(self) -> Sequence[AlertRule]:
        """Return all rules."""

    def look(self) -> Look:
        """Return what a round begins with."""

    def commit(
        self, look: Look, cursor: str, changes: Mapping[str, RuleState | None], alerts: Iterable[Alert]
    ) -> bool:
        """Take over what a round found, once."""

    def describe_channels(self, names: Sequence[str]) -> dict[str, ChannelState]:
        """Return what waits for channels."""

    def take(
        self, channel: str, *, hold_s: float, burst: int, refill_s: float, is_quiet: bool
    ) -> Batch | None:
        """Hold a channel for one message."""

    def settle(self, batch: Batch, delivery: Delivery, *, retry_in_s: float | None) -> bool:
        """Note how a try ended."""

    def note_delivery(self, delivery: Delivery) -> None:
        """Log a test."""


class EventStore(Protocol):
    """What happened."""

    def list(self, after: str | None = None, limit: int = 1000) -> Sequence[Event]:
        """Return events in their order."""


class RunStore(Protocol):
    """Runs and their epochs."""

    def find_many(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Return those of the runs that exist."""

    def list(
        self, *, status: Status | None = None, limit: int | None = None, cursor: str | None = None
    ) -> RunList:
        """Return a page of runs."""

    def list_last_epochs(self, run_id: str, count: int) -> Sequence[EpochResult]:
        """Return the newest epochs of a run, oldest first."""


class MetricStore(Protocol):
    """Points that scripts report."""

    def list_tail(self, run_id: str, name: str, points: int) -> Sequence[float]:
        """Return the values that came last, oldest first."""

    def find_not_finite(self, run_id: str) -> str | None:
        """Return the name of a metric whose last value is NaN or infinite."""


class WorkerStore(Protocol):
    """Heartbeats."""

    def list_known(self, *, max_gone: int | None = None) -> Sequence[Worker]:
        """Return the live workers, and those that fell silent lately."""


class TotalStore(Protocol):
    """Sums over runs: real ones and simulated ones."""

    def list_days(self, last: date, days: int) -> Mapping[str, tuple[Cost, Cost]]:
        """Return the totals of days."""

    def list_projects(self) -> Mapping[str, tuple[Cost, Cost]]:
        """Return the totals of projects."""


class Locks(Protocol):
    """Locks that expire."""

    def acquire(self, job: str, ttl_s: float) -> bool:
        """Take the lock of a job; False while it is held."""


class Store(Protocol):
    """The parts of the store that alerts need."""

    @property
    def alerts(self) -> AlertStore:
        """Rules and alerts."""

    @property
    def events(self) -> EventStore:
        """What happened."""

    @property
    def runs(self) -> RunStore:
        """Runs."""

    @property
    def metrics(self) -> MetricStore:
        """Points that scripts report."""

    @property
    def workers(self) -> WorkerStore:
        """Workers."""

    @property
    def accounts(self) -> TotalStore:
        """Totals."""

    @property
    def locks(self) -> Locks:
        """Locks."""

    def now(self) -> datetime:
        """Tell the time by the clock of Redis."""
