"""What one round of the rules looks at; each part is read when the first rule asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Final

from alerts.ports import Store
from schema import AlertRule, Cost, Event, MetricTail, Run, Status, Worker

# Beyond that the oldest gone workers are not looked at: where workers keep dying, one alert says enough.
_MAX_GONE: Final = 1_000
_RUNS_PER_PAGE: Final = 500
ENDED: Final = ("done", "failed", "cancelled")


class Scene:
    """The events of a batch, and how runs, workers and sums stand at ``now``."""

    def __init__(self, store: Store, tail: MetricTail, events: Sequence[Event], now: datetime) -> None:
        self.events = events
        self.now = now
        self.now_s = now.timestamp()
        self.tail = tail
        self._store = store

    @cached_property
    def runs(self) -> Mapping[str, Run]:
        """The runs of the events that tell something of a run."""
        told = {event.run_id for event in self.events if event.kind in (*ENDED, "epoch")}
        return self._store.runs.find_many(sorted(told))

    @cached_property
    def running(self) -> Sequence[Run]:
        """All running runs."""
        page = self._store.runs.list(status=Status.RUNNING, limit=_RUNS_PER_PAGE)
        found = [*page.runs]
        while page.cursor is not None:
            page = self._store.runs.list(status=Status.RUNNING, limit=_RUNS_PER_PAGE, cursor=page.cursor)
            found += page.runs
        return found

    @cached_property
    def workers(self) -> Sequence[Worker]:
        """The workers that live, and those that fell silent in the last day."""
        return self._store.workers.list_known(max_gone=_MAX_GONE)

    @cached_property
    def month_g(self) -> float:
        """CO₂ of all real epochs of this month (UTC)."""
        return _sum_g(self._store.accounts.list_days(self.now.date(), self.now.day))

    @cached_property
    def today_g(self) -> float:
        """CO₂ of all real epochs of today (UTC)."""
        return _sum_g(self._store.accounts.list_days(self.now.date(), 1))

    @cached_property
    def projects_g(self) -> Mapping[str, float]:
        """CO₂ of all real epochs, by project."""
        return {name: real.co2_g or 0.0 for name, (real, _) in self._store.accounts.list_projects().items()}

    def ended(self, rule: AlertRule, kind: str) -> Sequence[tuple[Event, Run]]:
        """Return the runs of a rule that ended this way while it was there, once per event."""
        return [
            (event, self.runs[event.run_id])
            for event in self.events
            if event.kind == kind and _is_since(event, rule) and self._concerns(rule, event.run_id)
        ]

    def moved(self, rule: AlertRule) -> Sequence[tuple[Run, int]]:
        """Return the runs of a rule that recorded epochs, and how many; those of scripts as they are now."""
        counts = Counter(
            event.run_id
            for event in self.events
            if event.kind == "epoch" and _is_since(event, rule) and self._concerns(rule, event.run_id)
        )
        of_scripts = [(run, 1) for run in self.running if run.is_external and is_chosen(rule, run)]
        return [*((self.runs[run_id], count) for run_id, count in counts.items()), *of_scripts]

    def _concerns(self, rule: AlertRule, run_id: str) -> bool:
        """Tell whether the run exists and the rule chose it."""
        run = self.runs.get(run_id)
        return run is not None and is_chosen(rule, run)


def is_chosen(rule: AlertRule, run: Run) -> bool:
    """Tell whether a rule is about a run."""
    options = run.options
    return rule.project in (None, options.project) and (rule.tag is None or rule.tag in options.tags)


def _is_since(event: Event, rule: AlertRule) -> bool:
    """Tell whether it happened while the rule was there; events have their time in whole milliseconds."""
    return event.time.timestamp() * 1000 >= int(rule.active_since.timestamp() * 1000)


def _sum_g(totals: Mapping[str, tuple[Cost, Cost]]) -> float:
    return sum(real.co2_g or 0.0 for real, _ in totals.values())
