"""Runs: what they are, what their epochs achieved and cost, and the sorted list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from errors import FieldError, InvalidInput, NotFound
from schema import (
    Attempt,
    EpochResult,
    ExtraCost,
    Lease,
    Origin,
    Run,
    RunList,
    Scalar,
    SortField,
    Status,
    day_of,
)
from store.cold import RunHashes
from store.connection import Connection
from store.encoding import (
    decode_accuracies,
    decode_attempts,
    decode_epochs,
    decode_run,
    encode_epoch,
    encode_extra,
    to_json,
    to_time,
)
from store.keys import Keys
from store.paging import Listing, Order, Place, keys_of_status

_RUNS_PER_CALL: Final = 500
_LOOKED_AT: Final = 5_000

EpochList = list[EpochResult]
AttemptList = list[Attempt]


class Runs:
    """Everything known about runs."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def get(self, run_id: str) -> Run:
        """Return a run. Raises NotFound when there is none of that id."""
        if run := self.find(run_id):
            return run
        raise no_run(run_id)

    def find(self, run_id: str) -> Run | None:
        """Return a run, or None when there is none of that id."""
        return next(iter(self._fetch([run_id])), None)

    def find_many(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Return those of the runs that exist, by their ids, in one round trip."""
        return {run.run_id: run for run in self._fetch(run_ids)}

    def find_origin(self, run_id: str) -> Origin:
        """Return what a trace of the run begins with; nothing of a run that does not exist."""
        traceparent, since = self._connection.call(
            "HMGET", self._keys.of("run", run_id), "traceparent", "waiting_since"
        )
        return Origin(traceparent, to_time(since) if since else None)

    def list_epochs(self, run_id: str) -> EpochList:
        """Return the epochs of a run that are recorded, oldest first."""
        return self.list_epochs_of([run_id])[run_id]

    def list_epochs_of(self, run_ids: Sequence[str]) -> dict[str, EpochList]:
        """Return the epochs of many runs in one round trip, oldest first."""
        replies = self._hashes.fetch_part(run_ids, "epochs")
        return {run_id: decode_epochs(stored) for run_id, stored in zip(run_ids, replies, strict=True)}

    def list_last_epochs(self, run_id: str, count: int) -> EpochList:
        """Return the newest ``count`` epochs of a run, oldest first, and read no others."""
        key = self._keys.of("epochs", run_id)
        recorded: int = self._connection.call("HLEN", key)
        numbers = [str(number) for number in range(max(1, recorded - count + 1), recorded + 1)]
        stored = self._connection.call("HMGET", key, *numbers) if numbers else []
        return decode_epochs(
            {number: array for number, array in zip(numbers, stored, strict=True) if array is not None}
        )

    def list_attempts(self, run_id: str) -> AttemptList:
        """Return the attempts at a run, oldest first."""
        return self.list_attempts_of([run_id])[run_id]

    def list_attempts_of(self, run_ids: Sequence[str]) -> dict[str, AttemptList]:
        """Return the attempts at many runs in one round trip, oldest first."""
        replies = self._hashes.fetch_part(run_ids, "attempts")
        return {run_id: decode_attempts(stored) for run_id, stored in zip(run_ids, replies, strict=True)}

    def list_sparklines(self, run_ids: Sequence[str], points: int = 24) -> dict[str, list[float]]:
        """Return the test accuracies of many runs, each thinned out evenly to at most ``points``."""
        replies = self._hashes.fetch_part(run_ids, "epochs")
        return {
            run_id: decode_accuracies(stored, points) for run_id, stored in zip(run_ids, replies, strict=True)
        }

    def record_epoch(self, lease: Lease, result: EpochResult) -> None:
        """Store an epoch and bring the run's summary, sums and places in the sorted lists up to date.

        Atomic (record_epoch.lua). The same epoch of the same attempt again is a no-op. A later attempt
        replaces the epoch and drops those that earlier attempts recorded behind it, while what they cost
        stays in the sums. It counts in the totals of the day it ended on, or where that is not known of the
        day its attempt began. Raises LeaseLost when the run is no longer held and InvalidInput on a value
        that is not finite; nothing is written then.
        """
        stamped = result.model_copy(update={"attempt": lease.attempt})
        names = ("run", "epochs", "attempts")
        self._connection.run(
            "record_epoch",
            [self._keys.of(name, lease.run_id) for name in names],
            [
                *(lease.run_id, lease.attempt, lease.worker_id, result.epoch, encode_epoch(stamped)),
                *(day_of(result.ended_at or lease.run.started_at), lease.run.options.project),
            ],
        )

    def record_extra(self, lease: Lease, cost: ExtraCost) -> None:
        """Add what an attempt used besides its epochs to its sums and the run's.

        Atomic (record_extra.lua). The same name of the same attempt again is a no-op. Raises LeaseLost when
        the run is no longer held and InvalidInput on a value that is not finite; nothing is written then.
        """
        self._connection.run(
            "record_extra",
            [self._keys.of(name, lease.run_id) for name in ("run", "attempts", "extras")],
            [
                *(lease.run_id, lease.attempt, lease.worker_id, cost.name, encode_extra(cost)),
                *(day_of(cost.ended_at), lease.run.options.project),
            ],
        )

    def describe(self, lease: Lease, facts: Mapping[str, Scalar]) -> None:
        """Add facts to the run's environment; known ones are replaced.

        Raises LeaseLost when the run is no longer held and InvalidInput on a value that is not finite.
        """
        if not facts:
            return
        self._connection.run(
            "describe",
            [self._keys.of("run", lease.run_id)],
            [lease.run_id, lease.attempt, lease.worker_id, to_json(dict(facts))],
        )

    def list(
        self,
        sort: SortField = SortField.TIME_ADDED,
        *,
        order: Order = "desc",
        status: Status | None = None,
        name: str | None = None,
        project: str | None = None,
        is_external: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RunList:
        """Return a page of the sorted list, or without a limit all of it.

        Runs without a value come last in both orders, the blank ones, which have no value at all, behind the
        others and by the time they were added; equal values are ordered by run_id. Sorted by what was
        achieved, simulated runs come after all real ones. A page costs O(log n + page). With a name, which
        goes with time_added alone, only the external runs of that name are listed. For a project, for
        is_external and for a status beside a name, runs are looked at one by one: a page ends after
        _LOOKED_AT of them, also with fewer runs than ``limit`` or none, and its ``total`` counts the others
        too. Raises InvalidInput on a cursor this list did not give out and on a limit below 1.
        """
        if limit is not None and limit < 1:
            raise InvalidInput("limit has to be at least 1.", details=[FieldError("limit", "at least 1")])
        listing = Listing(sort, order, status, name)
        place: Place | None = listing.decode_cursor(cursor) if cursor else Place()
        runs: dict[str, Run] = {}
        total, counts, looked_at = 0, dict.fromkeys(Status, 0), 0
        while place is not None and (limit is None or (len(runs) < limit and looked_at < _LOOKED_AT)):
            size = _RUNS_PER_CALL if limit is None else min(_RUNS_PER_CALL, limit - len(runs))
            total, counts, place, run_ids = self._page(listing, size, place)
            looked_at += len(run_ids)
            wanted = (run for run in self._fetch(run_ids) if _fits(run, status, project, is_external))
            runs |= {run.run_id: run for run in wanted}
        next_cursor = listing.encode_cursor(place) if place else None
        return RunList(runs=tuple(runs.values()), cursor=next_cursor, total=total, counts=counts)

    def count_by_status(self) -> dict[Status, int]:
        """Count the runs of every status."""
        keys = self._keys_by_status()
        return _sum_by_status(self._connection.call_many([("ZCARD", key) for key in keys]))

    def _keys_by_status(self) -> Sequence[str]:
        return [key for status in Status for key in keys_of_status(self._keys, status)]

    def _page(
        self, listing: Listing, size: int, place: Place
    ) -> tuple[int, dict[Status, int], Place | None, Sequence[str]]:
        """Return how many runs the list has, and each status, the place behind this page, and its ids.

        The place is None where no more follow. All of it is of one moment.
        """
        stages = listing.stages(self._keys)
        # Those of the stage that is walked come first, the others are counted.
        order = [place.stage, *(number for number in range(len(stages)) if number != place.stage)]
        keys = [key for number in order for key in stages[number]]
        arguments = [listing.order, size, len(stages[place.stage]), *(place.after or ())]
        has_more, rows, found = self._connection.run("page", [*keys, *self._keys_by_status()], arguments)
        sizes, counts = found[: len(keys)], _sum_by_status(found[len(keys) :])
        counted = iter(sizes)
        lengths = {number: sum(next(counted) for _ in stages[number]) for number in order}
        run_ids, scores = rows[::2], rows[1::2]
        if has_more:
            return sum(sizes), counts, Place(place.stage, (scores[-1], run_ids[-1])), run_ids
        follow = [number for number in range(place.stage + 1, len(stages)) if lengths[number]]
        return sum(sizes), counts, Place(follow[0]) if follow else None, run_ids

    def _fetch(self, run_ids: Sequence[str]) -> Sequence[Run]:
        """Return those of the runs that exist, in their order."""
        replies = self._hashes.fetch(run_ids)
        return [decode_run(key, stored) for key, stored in zip(run_ids, replies, strict=True) if stored]


def _fits(run: Run, status: Status | None, project: str | None, is_external: bool | None) -> bool:
    is_known = status in (None, run.status) and project in (None, run.options.project)
    return is_known and is_external in (None, run.is_external)


def _sum_by_status(sizes: Sequence[int]) -> dict[Status, int]:
    """Add up the sizes of as many indexes for each status."""
    each = len(sizes) // len(Status)
    return {status: sum(sizes[each * place : each * (place + 1)]) for place, status in enumerate(Status)}


def no_run(run_id: str) -> NotFound:
    """Say that there is no run of that id."""
    return NotFound(f"There is no run {run_id[:80]!r}. The list of runs shows those that exist.")
