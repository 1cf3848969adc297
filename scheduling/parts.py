"""The parts of what a run used: when each was used, and in which zone; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carbon_aware_trainer.accounting import PowerSample
from carbon_aware_trainer.providers.zones import canonical
from carbon_aware_trainer.traces import Trace
from schema import Attempt, EpochResult, ExtraCost, Run

# What an attempt uses besides everything that has a name: loading, starting, saving.
REST = "rest"

Part = EpochResult | ExtraCost
# What was recorded of a zone in a span; None for nothing.
FindTrace = Callable[[str, datetime, datetime], Trace | None]


@dataclass(frozen=True, slots=True)
class Used:
    """Everything a run used, with the attempts it was used in."""

    run: Run
    attempts: Sequence[Attempt]
    epochs: Sequence[EpochResult]
    superseded: Sequence[EpochResult]
    extras: Sequence[ExtraCost]
    power: Sequence[PowerSample] = ()

    @property
    def parts(self) -> Sequence[Part]:
        """Everything that energy was used for."""
        return [*self.epochs, *self.superseded, *self.extras]

    @property
    def by_attempt(self) -> Mapping[int, Attempt]:
        """The attempts by their number."""
        return {each.attempt: each for each in self.attempts}


def span_of(part: Part, attempt: Attempt) -> tuple[datetime, datetime]:
    """Return when the energy of a part was used.

    What is left of an attempt has no time of its own: it is spread over all of it. So is an epoch of which it
    is not known when it ended.
    """
    end = part.ended_at or attempt.ended_at or attempt.started_at
    if part.ended_at is None or (isinstance(part, ExtraCost) and part.name == REST):
        start = attempt.started_at
    elif isinstance(part, ExtraCost):
        start = end - timedelta(seconds=part.span_s)
    else:
        start = end - timedelta(seconds=part.duration_s - (part.resumed_after_s or 0.0))
    return min(start, end), end


def zones_of(used: Used, home: str) -> dict[int, str]:
    """Return the zone of each attempt: of its worker; where that is not known, of its plan."""
    return {each.attempt: _zone_of(used.run, each, home) for each in used.attempts}


def routes_of(run: Run) -> tuple[str, ...]:
    """Return the zones its plans chose from, each by its own queue; none where they had no choice."""
    zones = (run.options.carbon and run.options.carbon.zones) or ()
    return zones if len(zones) > 1 and run.carbon is not None and run.carbon.zone is not None else ()


def _zone_of(run: Run, attempt: Attempt, home: str) -> str:
    plan = run.carbon
    if attempt.zone is not None:
        return canonical(attempt.zone)
    if plan is None or not routes_of(run):
        return (plan and plan.zone) or home
    stays = sorted(plan.stays, key=lambda stay: stay.until_attempt)
    return next((each.zone for each in stays if attempt.attempt <= each.until_attempt), plan.zone or home)
