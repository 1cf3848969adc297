"""A store and a provider for tests of planning: what they answer is given, what they are told is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbon_aware_trainer.errors import UnknownZone
from carbon_aware_trainer.records import Basis
from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from scheduling.intensities import Outlook
from scheduling.planner import Planner
from scheduling.scene import Scene
from schema import (
    Attempt,
    CarbonOptions,
    CarbonPlan,
    EpochResult,
    ExtraCost,
    Run,
    RunList,
    RunOptions,
    Status,
    Worker,
)
from settings import Settings
from tests.programs import wait_until
from tests.records import TORCH_WORKER

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BASIS: Basis = "average lifecycle"
_ROOM_S = 30.0


def forecast(zone: str, *hours: float, provider: str = "cached", start: datetime = NOW) -> Forecast:
    """What is expected of a zone from ``start`` on, a value an hour."""
    values = np.array(hours, dtype=np.float64)
    return Forecast(zone, provider, BASIS, start, start, HOUR, values, values, values, "test")


def outlook(zone: str, *hours: float, provider: str = "cached", start: datetime = NOW) -> Outlook:
    """A zone of which that much is known; nothing without hours."""
    if not hours:
        return Outlook(zone, start, None, None, "nothing is recorded of it yet")
    made = forecast(zone, *hours, provider=provider, start=start)
    trace = Trace(zone, provider, BASIS, start - 23 * HOUR, HOUR, np.full(24, hours[0]))
    return Outlook(zone, start, trace, made, None)


@pytest.fixture
def room_in_hour() -> None:
    """Wait for the next hour where this one is nearly over: what a test reckons from it holds to its end."""
    wait_until(lambda: time.time() % 3600 < 3600 - _ROOM_S, timeout_s=2 * _ROOM_S, what="the next hour")


def hour_now() -> datetime:
    """Return when this hour began."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


class GivenZones:
    """Intensities that are given."""

    def __init__(self, outlooks: Sequence[Outlook]) -> None:
        self._outlooks = {each.zone: each for each in outlooks}

    def check_zone(self, zone: str) -> None:
        if zone not in self._outlooks:
            raise UnknownZone(f"{zone!r} is no known zone. Near ones: {', '.join(self._outlooks)}.")

    def outlooks(self, zones: Sequence[str], now: datetime, *, limit_s: float) -> dict[str, Outlook]:  # noqa: ARG002 - as asked
        return {zone: self._outlooks[zone] for zone in zones}


class GivenRuns:
    """Past runs, and epochs of the one that is planned."""

    def __init__(
        self, past: Sequence[Run], epochs: Sequence[EpochResult], attempts: Sequence[Attempt]
    ) -> None:
        self._past, self._epochs, self._attempts = tuple(past), list(epochs), list(attempts)

    def list_epochs(self, run_id: str) -> list[EpochResult]:  # noqa: ARG002 - of any run
        return self._epochs

    def list_attempts(self, run_id: str) -> list[Attempt]:  # noqa: ARG002 - of any run
        return self._attempts

    def list(
        self,
        *,
        status: Status | None = None,  # noqa: ARG002 - all
        is_external: bool | None = None,  # noqa: ARG002
        limit: int | None = None,  # noqa: ARG002
    ) -> RunList:
        return RunList(runs=self._past, total=len(self._past), counts={})


class GivenWorkers:
    """Live workers."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = list(workers)

    def list_live(self) -> list[Worker]:
        return self._workers


class GivenStore:
    """The parts of the store that a plan reads."""

    def __init__(
        self,
        past: Sequence[Run] = (),
        workers: Sequence[Worker] = (),
        epochs: Sequence[EpochResult] = (),
        attempts: Sequence[Attempt] = (),
    ) -> None:
        self.runs = GivenRuns(past, epochs, attempts)
        self.workers = GivenWorkers(workers)

    def now(self) -> datetime:
        return NOW


def planner_of(
    outlooks: Sequence[Outlook], *, store: GivenStore | None = None, **settings: Any
) -> tuple[Planner, Scene]:
    """A planner of zones of which that is known, and what it sees."""
    given: Any = store or GivenStore()
    zones: Any = GivenZones(outlooks)
    known = {"zone": outlooks[0].zone, "data_dir": Path("/nonexistent"), **settings}
    planner = Planner(given, Settings(_env_file=None, **known), zones)
    return planner, planner.look(NOW)


def worker_in(zone: str, *, host: str = "one", run_id: str | None = None) -> Worker:
    """A live worker of a zone."""
    return TORCH_WORKER.model_copy(
        update={
            "worker_id": f"w-{zone}", "zone": zone, "host": host, "run_id": run_id,
            "queues": (f"zone-{zone.lower()}", "default"),
        }
    )  # fmt: skip


HYPER_PARAMS: Mapping[str, Any] = {
    "trainer": "cnn", "network": "small_cnn", "dataset": "digits", "num_epochs": 4, "batch_size": 64,
}  # fmt: skip


def past_run(*, epoch_h: float = 1.0, start_h: float = 0.0, **changes: Any) -> Run:
    """A run of four epochs that is done."""
    started = NOW - timedelta(days=2)
    known: dict[str, Any] = {
        "run_id": "past", "hyper_params": dict(HYPER_PARAMS), "status": Status.DONE, "attempt": 1,
        "time_added": started, "started_at": started, "num_epochs": 4, "epochs_done": 4,
        "ended_at": started + timedelta(hours=4 * epoch_h + start_h),
        "duration_s": 4 * epoch_h * 3600, "energy_kwh": 8.0,
    }  # fmt: skip
    return Run.model_validate(known | changes)


def run_of(carbon: CarbonOptions, *, plan: CarbonPlan | None = None, **changes: Any) -> Run:
    """A run that follows the grid, submitted now and waiting."""
    known: dict[str, Any] = {
        "run_id": "r", "hyper_params": dict(HYPER_PARAMS), "options": RunOptions(carbon=carbon),
        "status": Status.WAITING, "time_added": NOW, "num_epochs": 4, "carbon": plan,
    }  # fmt: skip
    return Run.model_validate(known | changes)


def carbon(**wishes: Any) -> CarbonOptions:
    """What a run wishes."""
    return CarbonOptions.model_validate(wishes)


def extra_of(attempt: int, kwh: float, at: datetime, *, name: str = "rest") -> ExtraCost:
    """What an attempt used besides its epochs."""
    return ExtraCost(
        name=name, attempt=attempt, ended_at=at, span_s=60, duration_s=0, energy_kwh=kwh, co2_g=0.0
    )
