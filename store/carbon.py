"""When runs that follow the grid are to run, and what that saved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from schema import CarbonOutcome, CarbonPlan, Run, SavedWeek
from store.connection import Argument, Connection
from store.encoding import decode_run, to_pairs
from store.keys import Keys
from store.log import bounded
from store.plans import encode_outcome, encode_plan, seconds
from store.submission import route

_SUMS: Final = tuple(set(SavedWeek.model_fields) - {"week"})

Runs = list[Run]


class Carbon:
    """Plans of runs with ``options.carbon``, in one step each with what follows from them.

    A plan is taken over only if the run is as it was when it was planned; the same plan again is a no-op.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def list_due(self, limit: int = 100) -> Runs:
        """Return the runs that are to be planned again by now, those that wait for it longest first."""
        return self._list("carbon", limit)

    def list_unsettled(self, limit: int = 100) -> Runs:
        """Return the runs that have ended and have no outcome of that, the first that ended first."""
        return self._list("unsettled", limit)

    def replan(self, run: Run, plan: CarbonPlan) -> Run | None:
        """Give a run another plan: one that does not run is due when that says, or waits to be claimed next.

        One that waits is deferred again, or goes to the queue of another zone; one that runs goes on, also
        where it was postponed. It never starts before its ``start_at`` or the end of the pause after a
        failure. The plan's reason is added to its log. None when nothing was done: it is not in the status
        and attempt of ``run`` any more, or was asked to run now.
        """
        arguments = [run.run_id, run.status.value, run.attempt, *_plan_arguments(run, plan)]
        return self._take("replan", run, arguments)

    def postpone(self, run: Run, plan: CarbonPlan) -> Run | None:
        """Ask the worker of a running run to save its state and give it back; it is deferred for the plan.

        Where the plan says now, but another zone, it waits there at once. It counts neither as a failure nor
        as a lost lease. A plan to go on, or the wish to run it now, withdraws it; a cancel or pause takes its
        place; losing the worker does not end it. None when nothing was done: as for ``replan``, where it may
        not be interrupted, is to be cancelled or paused, or where the plan says neither later nor elsewhere.
        """
        return self._take("postpone", run, [run.run_id, run.attempt, *_plan_arguments(run, plan)])

    def log(self, run_id: str, line: str) -> None:
        """Add a line to the log of a run, which no worker has to hold; nothing happens without such a run.

        What ``submit``, ``replan`` and ``postpone`` take over is in the log already.
        """
        self._connection.run("note", [self._keys.of("run", run_id)], [run_id, bounded(line)])

    def set_outcome(self, run: Run, outcome: CarbonOutcome) -> bool:
        """Note what a run that has ended saved, and count it in its week and project in place of what it had.

        Figures of simulated runs count nowhere. False when the run was tried again since it was read.
        """
        keys = [self._keys.of("run", run.run_id), self._keys.of("saved", run.options.project)]
        arguments: list[Argument] = [run.run_id, run.attempt, encode_outcome(outcome)]
        is_taken: int = self._connection.run("set_outcome", keys, arguments)
        return bool(is_taken)

    def list_savings(self, last: date, weeks: int, *, project: str | None = None) -> list[SavedWeek]:
        """Return what was saved in ``weeks`` weeks up to that of ``last``, oldest first, empty ones too.

        project: None for all of them together.
        """
        names = [_week_of(last - timedelta(weeks=back)) for back in reversed(range(weeks))]
        projects = [project] if project is not None else self._list_projects()
        replies = self._connection.call_many(
            [("HMGET", self._keys.of("saved", name), *names) for name in projects if names]
        )
        return [
            SavedWeek.model_validate({"week": week, **_sum(reply[place] for reply in replies)})
            for place, week in enumerate(names)
        ]

    def _list_projects(self) -> Sequence[str]:
        return sorted(self._connection.call("SMEMBERS", self._keys.of("total_projects")))

    def _list(self, name: str, limit: int) -> Runs:
        whole_s, microseconds = self._connection.call("TIME")
        now_s = f"{whole_s}.{int(microseconds):06d}"
        run_ids = self._connection.call(
            "ZRANGEBYSCORE", self._keys.of(name), "-inf", now_s, "LIMIT", 0, limit
        )
        replies = self._connection.call_many([("HGETALL", self._keys.of("run", key)) for key in run_ids])
        return [decode_run(key, stored) for key, stored in zip(run_ids, replies, strict=True) if stored]

    def _take(self, script: str, run: Run, arguments: Sequence[Argument]) -> Run | None:
        stored = self._connection.run(script, [self._keys.of("run", run.run_id)], arguments)
        return None if stored is None else decode_run(run.run_id, to_pairs(stored))


def _plan_arguments(run: Run, plan: CarbonPlan) -> list[Argument]:
    place = route(run.options, plan)
    return [encode_plan(plan), seconds(plan.next_at), place.get("queue", ""), place.get("requirement", "")]


def _week_of(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def _sum(totals: Iterable[str | None]) -> dict[str, float]:
    """Add the totals of a week up; None is that of a project that saved nothing in it."""
    parts = [json.loads(total) for total in totals if total is not None]
    return {name: sum(part.get(name, 0) for part in parts) for name in _SUMS}
