"""What sweeps need of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import JsonValue

from schema import EpochResult, Run, RunOptions, Worker
from schema.sweeps import Sweep, SweepState, SweepSummary


class Journals(Protocol):
    """The journals of sweeps."""

    def read_journal(self, sweep_id: str, after: int) -> Iterable[dict[str, Any]]:
        """Yield the entries behind the first ``after``."""

    def append_journal(self, sweep_id: str, after: int, entries: Sequence[dict[str, Any]]) -> None:
        """Add entries behind the first ``after``; raises Conflict when there are more."""


class Kept(Journals, Protocol):
    """What is kept of sweeps."""

    def get(self, sweep_id: str) -> Sweep:
        """Return a sweep."""

    def list_active(self) -> Sequence[str]:
        """Return the ids of those that have not ended."""

    def has_active(self) -> bool:
        """Tell whether there is one."""

    def lead(self, owner: str, *, ttl_s: float) -> bool:
        """Tell whether that program is to drive them."""

    def note(
        self, sweep_id: str, summary: SweepSummary, *, end: SweepState | None = None, reason: str = ""
    ) -> bool:
        """Keep what one has achieved, and its end."""


class Queue(Protocol):
    """Where trials wait."""

    def submit(self, hyper_params: Mapping[str, JsonValue], options: RunOptions, *, run_id: str) -> Run:
        """Queue a run; one that exists is left as it is."""


class Controls(Protocol):
    """What can be done to trials."""

    def cancel(self, run_id: str, *, reason: str) -> Run:
        """End a run without a result."""

    def pause(self, run_id: str) -> Run:
        """Keep a run from being trained."""

    def resume(self, run_id: str) -> Run:
        """Let it wait again."""


class Runs(Protocol):
    """The runs that trials are."""

    def find_many(self, run_ids: Sequence[str]) -> Mapping[str, Run]:
        """Return those that exist."""

    def list_epochs_of(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[EpochResult]]:
        """Return the epochs of each, oldest first."""


class Archiving(Protocol):
    """Runs that are elsewhere."""

    def list_archived(self, run_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the runs that were moved to the archive."""


class Workers(Protocol):
    """Who trains."""

    def list_live(self) -> Sequence[Worker]:
        """Return the live ones."""


class Store(Protocol):
    """The parts of the store that sweeps need."""

    @property
    def sweeps(self) -> Kept:
        """Sweeps."""

    @property
    def queue(self) -> Queue:
        """The queue."""

    @property
    def controls(self) -> Controls:
        """The controls."""

    @property
    def runs(self) -> Runs:
        """Runs."""

    @property
    def archiving(self) -> Archiving:
        """Runs that are elsewhere."""

    @property
    def workers(self) -> Workers:
        """Workers."""

    def now(self) -> datetime:
        """Tell the time by the clock of Redis."""
