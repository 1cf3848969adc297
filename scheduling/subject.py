"""What is planned: a submission, or a run as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from scheduling.durations import Work, estimate
from scheduling.scene import Scene
from scheduling.times import later
from schema import CarbonOptions, CarbonPlan, Run, RunOptions, Status

# How long a run may wait when it says neither a deadline nor a delay.
USUAL_DELAY_H = 24.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A run and the work that is left of it.

    here: the zone it is in, None while it may be in any. hosts: those that its checkpoints are on, none
    before its first attempt; None where that is unknown.
    """

    options: RunOptions
    carbon: CarbonOptions
    zones: tuple[str, ...]
    work: Work
    submitted_at: datetime
    worked: timedelta = timedelta()
    attempt: int = 0
    is_running: bool = False
    here: str | None = None
    hosts: frozenset[str] | None = frozenset()
    last: CarbonPlan | None = None

    def begin(self, now: datetime) -> datetime:
        """Return when it may start at the earliest."""
        return max(now, self.options.start_at or now)

    def deadline(self) -> datetime:
        """Return when it has to be done: by its deadline, or its delay and the work, whatever is earlier."""
        by_date, delay_h = self.carbon.deadline, self.carbon.max_delay_h
        if delay_h is None:
            if by_date is not None:
                return by_date
            delay_h = USUAL_DELAY_H
        first = max(self.submitted_at, self.options.start_at or self.submitted_at)
        by_delay = later(first, timedelta(hours=delay_h) + self.worked + self.work.duration)
        return by_delay if by_date is None else min(by_date, by_delay)


def of_submission(
    hyper_params: Mapping[str, JsonValue],
    options: RunOptions,
    carbon: CarbonOptions,
    scene: Scene,
    *,
    home: str,
) -> Subject:
    """Return what a submission asks for. home: the zone of the installation."""
    work = estimate(hyper_params, scene.past, limit_s=options.timeout_s)
    return Subject(options, carbon, carbon.zones or (home,), work, scene.now)


def of_run(run: Run, scene: Scene, *, home: str) -> Subject:
    """Return what is left of a run that follows the grid.

    home: the zone of this program, for a run that was never planned; a plan keeps that of who made it.
    """
    carbon = run.options.carbon or CarbonOptions.model_validate({})
    planned = run.carbon.zone if run.carbon is not None else None
    zones = carbon.zones or (planned or home,)
    is_running = run.status is Status.RUNNING
    epochs = scene.store.runs.list_epochs(run.run_id) if run.attempt else []
    work = estimate(
        run.hyper_params, scene.past, own=epochs, is_started=is_running, limit_s=run.options.timeout_s
    )
    return Subject(
        options=run.options,
        carbon=carbon,
        zones=zones,
        work=work,
        submitted_at=run.time_added,
        worked=timedelta(seconds=run.duration_s or 0.0),
        attempt=run.attempt,
        is_running=is_running,
        here=(planned if planned in zones else zones[0]) if run.attempt else None,
        hosts=_hosts_of(run, scene) if run.attempt and len(zones) > 1 else frozenset(),
        last=run.carbon,
    )


def _hosts_of(run: Run, scene: Scene) -> frozenset[str] | None:
    """Return the host of its last attempt, which may live no more; None where nobody knows it."""
    attempts = scene.store.runs.list_attempts(run.run_id)
    last = next((each for each in attempts if each.attempt == run.attempt), None)
    if last is not None and last.host is not None:
        return frozenset((last.host,))
    found = next((each.host for each in scene.workers if each.worker_id == run.worker), None)
    return None if found is None else frozenset((found,))
