"""What planning needs of the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from schema import (
    Attempt,
    CarbonOutcome,
    CarbonPlan,
    EpochResult,
    ExtraCost,
    RecordedIntensities,
    Run,
    RunList,
    Status,
    Worker,
)


class Plans(Protocol):
    """The runs that follow the grid."""

    def list_due(self, limit: int = 100) -> list[Run]:
        """Return the runs that are to be planned again by now."""

    def list_unsettled(self, limit: int = 100) -> list[Run]:
        """Return the runs that have ended and have no outcome of that."""

    def replan(self, run: Run, plan: CarbonPlan) -> Run | None:
        """Give a run another plan; None when it is not as it was."""

    def postpone(self, run: Run, plan: CarbonPlan) -> Run | None:
        """Ask the worker of a running run to give it back, for later or elsewhere."""

    def log(self, run_id: str, line: str) -> None:
        """Add a line to the log of a run."""

    def set_outcome(self, run: Run, outcome: CarbonOutcome) -> bool:
        """Note what a run that has ended saved."""


class Recordings(Protocol):
    """What was recorded of zones."""

    def put(self, recorded: RecordedIntensities) -> None:
        """Add values to what is known of a zone."""

    def find(self, zone: str, provider: str, start: datetime, end: datetime) -> RecordedIntensities | None:
        """Return the slots that begin in [start, end)."""

    def save_forecaster(self, zone: str, provider: str, data: bytes) -> None:
        """Keep what a forecaster learned."""

    def find_forecaster(self, zone: str, provider: str) -> bytes | None:
        """Return what a forecaster learned."""


class Answers(Protocol):
    """Answers that are kept for a while, for all programs, and who may fetch one."""

    def get(self, key: str) -> bytes | None:
        """Return what is kept."""

    def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for a while."""

    def claim(self, key: str, *, ttl_s: float) -> str | None:
        """Return a token when nobody else holds the key."""

    def release(self, key: str, token: str) -> None:
        """Give a key back."""


class Runs(Protocol):
    """Runs and what they did."""

    def list_epochs(self, run_id: str) -> list[EpochResult]:
        """Return the epochs of a run."""

    def list_attempts(self, run_id: str) -> list[Attempt]:
        """Return the attempts of a run."""

    def list(
        self, *, status: Status | None = None, is_external: bool | None = None, limit: int | None = None
    ) -> RunList:
        """Return runs, newest first."""


class Accounts(Protocol):
    """What runs used besides their recorded epochs."""

    def list_superseded(self, run_id: str) -> Sequence[EpochResult]:
        """Return epochs that were trained again."""

    def list_extras(self, run_id: str) -> Sequence[ExtraCost]:
        """Return what attempts used besides epochs."""


class Workers(Protocol):
    """Who works."""

    def list_live(self) -> list[Worker]:
        """Return the live workers."""


class Locks(Protocol):
    """Locks that expire."""

    def acquire(self, job: str, ttl_s: float) -> bool:
        """Take the lock of a job; False while it is held."""


class Store(Protocol):
    """The parts of the store that planning needs."""

    @property
    def carbon(self) -> Plans:
        """Plans and outcomes."""

    @property
    def intensities(self) -> Recordings:
        """What was recorded."""

    @property
    def cache(self) -> Answers:
        """Answers that are kept."""

    @property
    def runs(self) -> Runs:
        """Runs."""

    @property
    def accounts(self) -> Accounts:
        """Costs."""

    @property
    def workers(self) -> Workers:
        """Workers."""

    @property
    def locks(self) -> Locks:
        """Locks."""

    def now(self) -> datetime:
        """Tell the time by the clock of Redis."""
