"""The queue: every change of a run's status, each one atomic script, fenced by attempt and worker."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, Literal
from uuid import uuid4

from pydantic import JsonValue

from errors import InvalidInput
from schema import (
    DEFAULT_QUEUE,
    CarbonPlan,
    Lease,
    Request,
    Requires,
    Run,
    RunError,
    RunOptions,
    Status,
    Validate,
)
from store.cold import RunHashes
from store.connection import BLOCK_SLICE_S, Argument, Connection
from store.encoding import decode_requirement, decode_run, encode_error, shorten, to_pairs, to_text
from store.foreign import adopt
from store.keys import Keys, check_queue, general_queue
from store.paging import keys_of_status
from store.quotas import quota_used_up
from store.submission import Submission, hashed_key

MAX_LEASE_LOSSES: Final = 5
RETRY_BASE_S: Final = 5.0
MAX_RETRY_S: Final = 600.0
_IDEMPOTENCY_TTL_S: Final = 24 * 3600
_PLANNING_S: Final = 5.0
_MAX_REASON_CHARACTERS: Final = 1_000
_DEFAULT_OPTIONS: Final = RunOptions()
_LEASE_LOST_REASON: Final = "its worker stopped answering; another one takes over"
_LEASE_LOST_ERROR: Final = RunError(
    kind="LeaseLost",
    message=(
        f"This run was taken from a worker that stopped answering {MAX_LEASE_LOSSES + 1} times. Most likely "
        "it kills its worker: look for the system's out-of-memory killer, make the network or the batch "
        "smaller, and submit it again."
    ),
)
_LEASE_LOST_ENERGY: Final = (
    "Its worker stopped answering: what it used after its last recorded epoch is not known."
)


class Queue:
    """Runs from their submission to their end."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def submit(
        self,
        hyper_params: Mapping[str, JsonValue],
        options: RunOptions = _DEFAULT_OPTIONS,
        *,
        run_id: str | None = None,
        idempotency_key: str | None = None,
        body: JsonValue = None,
        rerun_of: str | None = None,
        plan: CarbonPlan | None = None,
        token_id: str | None = None,
        traceparent: str | None = None,
    ) -> Run:
        """Queue a run with validated, complete hyper_params; it is deferred until its ``start_at``.

        What it ``requires`` names the queue it waits in: see ``requirement_queue``. ``rerun_of`` is the run
        it repeats. With ``options.carbon`` it is deferred until the start of its ``plan``, whose zone may
        name the queue: see ``planned_queue``; without one it is planned at once. traceparent: its trace.

        Atomic (submit.lua). A run_id that exists is a no-op that returns its run, and so is an
        idempotency_key of the last 24 h. Raises Conflict when the key was used for another ``body``, by which
        is meant what the caller wrote, before defaults were filled in; InvalidInput on a value that cannot be
        stored; TooMany where a quota of the project, or of the API token that queues it, is used up.
        """
        check_queue(options.queue)
        submission = Submission.of(
            hyper_params,
            options,
            run_id=run_id,
            idempotency_key=idempotency_key,
            body=body,
            rerun_of=rerun_of,
            plan=plan,
            token_id=token_id,
            traceparent=traceparent,
        )
        return self._add(submission)

    def _add(self, submission: Submission) -> Run:
        hashed = submission.idempotency_hash
        keys = [self._keys.of("run", submission.run_id)]
        keys += [self._keys.of("idempotency", hashed)] if hashed else []
        times: list[Argument] = [_IDEMPOTENCY_TTL_S, submission.due_s, submission.planned_s]
        texts = [submission.log_line, submission.project, submission.token_id]
        arguments = [submission.run_id, submission.digest, *times, *texts, *submission.fields]
        stored_id, *rest = self._connection.run("submit", keys, arguments, is_replicated=True)
        if not stored_id:
            raise quota_used_up(*rest, now=datetime.now(UTC))
        (stored,) = rest
        return decode_run(stored_id, to_pairs(stored) or self._hashes.get_known(stored_id))

    def is_submitted(self, idempotency_key: str | None) -> bool:
        """Say whether a key of the last 24 h has its run, with which ``submit`` would answer."""
        if idempotency_key is None:
            return False
        known = self._connection.call("GET", self._keys.of("idempotency", hashed_key(idempotency_key)))
        if known is None:
            return False
        run_id = known.split(" ")[0]
        is_here = self._connection.call("EXISTS", self._keys.of("run", run_id))
        return bool(is_here) or run_id in self._hashes.list_archived([run_id])

    def claim(self, queues: Sequence[str], *, worker_id: str, lease_s: float) -> Lease | None:
        """Take the oldest run of the first non-empty queue and hold it for ``lease_s``; None without one.

        Of a queue and those of its requirements that stand beside it, the urgent runs come first.
        Atomic (claim.lua): a run is never both waiting and leased, nor neither. A run this worker still holds
        is returned again, with the same attempt, so a claim is safe to repeat; worker_id must therefore be
        unique to the process. Raises InvalidInput for a name no queue may have.
        """
        families = [list(family) for _, family in groupby(queues, key=general_queue)]
        waiting = [
            self._keys.waiting(queue, high=high)
            for family in families
            for high in (True, False)
            for queue in family
        ]
        bells = self._bells(queues)
        reply = self._connection.run("claim", [*waiting, *bells], [lease_s, worker_id, len(waiting)])
        if reply is None:
            return None
        run_id, stored = reply
        run = decode_run(run_id, to_pairs(stored))
        return Lease(run=run, attempt=run.attempt, worker_id=worker_id)

    def wait(self, queues: Sequence[str], *, timeout_s: float) -> None:
        """Block until a run may be waiting in one of the queues, at most ``timeout_s``."""
        bells = self._bells(queues)
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if self._connection.pop_blocking(bells, timeout_s=min(left_s, BLOCK_SLICE_S)):
                return

    def next_request(
        self,
        timeout_s: float,
        *,
        queues: Sequence[str] = (DEFAULT_QUEUE,),
        worker_id: str | None = None,
        lease_s: float = 15.0,
    ) -> Lease | None:
        """Claim the next run, waiting up to ``timeout_s`` for one; None when none came.

        Without a worker_id every call is a worker of its own, so two calls never get the same run.
        """
        claimer = worker_id or uuid4().hex
        deadline_s = time.monotonic() + timeout_s
        while True:
            lease = self.claim(queues, worker_id=claimer, lease_s=lease_s)
            left_s = deadline_s - time.monotonic()
            if lease or left_s <= 0:
                return lease
            self.wait(queues, timeout_s=left_s)

    def renew(self, lease: Lease, *, lease_s: float) -> Request | None:
        """Hold the run for another ``lease_s``, also when the lease has expired but nobody took it.

        Returns what somebody asked of the run and its worker has not done yet. Raises LeaseLost when the run
        is no longer held.
        """
        keys = [self._keys.of("run", lease.run_id), self._keys.of("leases")]
        asked: str | None = self._connection.run("renew", keys, [*_fence(lease), lease_s])
        return Request(asked) if asked else None

    def release(self, lease: Lease, *, reason: str) -> Status:
        """Put the run back, to be claimed next; it counts neither as a failure nor as a lost lease.

        A run that was to be cancelled or paused is cancelled or paused instead, and one that is postponed is
        deferred. Returns the status it got.
        The same call again is a no-op. Raises LeaseLost when the run is no longer held.
        """
        arguments = [*_fence(lease), to_text(reason)[:_MAX_REASON_CHARACTERS]]
        return Status(self._connection.run("release", [self._keys.of("run", lease.run_id)], arguments))

    def finish(
        self,
        lease: Lease,
        status: Literal[Status.DONE, Status.FAILED, Status.CANCELLED],
        *,
        reason: str | None = None,
        error: RunError | None = None,
        retry_base_s: float = RETRY_BASE_S,
        jitter: float | None = None,
    ) -> Status:
        """End the run, or after a failure that is retryable defer it; returns the status it got.

        It is deferred for ``retry_base_s`` · 2^failures, ± 50 %, at most MAX_RETRY_S, as long as it has no
        more than ``options.max_failures`` failures. A failed run that was to be cancelled is that, and so is
        one that was to be paused where the failure is retryable.
        ``jitter``, 0-1, is drawn where it is None. The same call again is a no-op. Raises LeaseLost when the
        run is no longer held.
        """
        retry: list[Argument] = [0, 0, 0]
        if error and error.is_retryable:
            factor = 0.5 + (random.random() if jitter is None else jitter)  # noqa: S311 # spreads load only
            retry = [lease.run.options.max_failures, retry_base_s * factor, MAX_RETRY_S]
        texts = [
            to_text(reason or "")[:_MAX_REASON_CHARACTERS],
            encode_error(error) if error else "",
            shorten(error) if error else "",
        ]
        arguments = [*_fence(lease), status.value, *texts, *retry]
        return Status(self._connection.run("finish", [self._keys.of("run", lease.run_id)], arguments))

    def requeue_expired(self, *, limit: int = 100, grace_s: float) -> list[str]:
        """Take expired leases away and return their runs' ids: each waits again, to be claimed next.

        Atomic (reap.lua). A run that was to be cancelled, paused or postponed is; one that lost more than
        MAX_LEASE_LOSSES fails. Has to be called every few moments: when nobody called it for ``grace_s`` / 2,
        or Redis has started again, an outage is assumed, and nothing is taken for the next ``grace_s``, so
        that every healthy worker can renew first.
        """
        texts = [_LEASE_LOST_REASON, encode_error(_LEASE_LOST_ERROR), _LEASE_LOST_ENERGY]
        run_ids: list[str] = self._connection.run(
            "reap",
            [self._keys.of("leases"), self._keys.of("reaping")],
            [limit, grace_s, MAX_LEASE_LOSSES, *texts],
        )
        return run_ids

    def promote_due(self, *, limit: int = 100) -> list[str]:
        """Let deferred runs whose time has come wait, and return their ids.

        One that is to be planned again at the same moment waits for that, at most _PLANNING_S, so as not
        to start on an old forecast. Atomic (promote.lua). Also forgets requirements of which no run waits.
        """
        keys = [self._keys.of("deferred"), self._keys.of("requirements")]
        run_ids: list[str] = self._connection.run("promote", keys, [limit, _PLANNING_S])
        return run_ids

    def list_requirements(self) -> dict[str, tuple[str, Requires]]:
        """Return which queues of waiting runs have requirements: name → the queue they are for, and these.

        A worker adds those it can take to the queues it claims from. Left out are those that another version
        wrote and this one cannot judge: a worker must not take what it may lack the means for.
        """
        stored = self._connection.call("HGETALL", self._keys.of("requirements"))
        found = {name: decode_requirement(text) for name, text in sorted(stored.items())}
        return {name: requirement for name, requirement in found.items() if requirement is not None}

    def adopt_foreign(self, validate: Validate) -> list[str]:
        """Take in the JSON records another program pushed onto a waiting list; returns their runs' ids.

        ``validate`` turns hyper_params into complete ones or raises InvalidInput. What cannot become a run
        goes to ``queue:rejected`` with a warning. Safe to be killed at any line.
        """
        return adopt(self._connection, self._keys, self.submit, validate)

    def length(self, queue: str | None = None) -> int:
        """Count the runs that wait in a queue, or in all of them."""
        if queue is None:
            holding = keys_of_status(self._keys, Status.WAITING)
            return sum(self._connection.call_many([("ZCARD", key) for key in holding]))
        lists = [self._keys.waiting(queue, high=high) for high in (True, False)]
        return sum(self._connection.call_many([("LLEN", key) for key in lists]))

    def _bells(self, queues: Sequence[str]) -> list[str]:
        if not queues:
            raise InvalidInput("Name at least one queue, such as default.")
        return [self._keys.of("wake", queue) for queue in queues]


def _fence(lease: Lease) -> list[str | int | float]:
    return [lease.run_id, lease.attempt, lease.worker_id]
