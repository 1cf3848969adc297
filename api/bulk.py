"""One action on many runs, each with an outcome of its own."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from apiflask import APIBlueprint
from flask import Response
from pydantic import model_validator

from api.access.callers import check_scope, note_detail
from api.body import reply
from api.deleting import FILES_LIMIT_S, delete_run_and_files
from api.rerunning import rerun
from api.resuming import resume
from api.runs import TrainHeaders, check_run_id, get_known_run
from api.state import db
from errors import StoreUnavailable, WattleError
from schema import (
    MAX_BULK_RUNS,
    Action,
    BulkReply,
    BulkRequest,
    Outcome,
    RerunRequest,
    Run,
    SortField,
    Status,
)
from schema.access import Scope

bulk = APIBlueprint("bulk", __name__, tag="Control of many runs")

log = logging.getLogger(__name__)

# A caller waits 5 s for an answer, and files on a slow place may take long.
LIMIT_S: Final = 3.0
NOT_TRIED: Final = "not_tried"
# A run that an action succeeded with no longer has such a status, so that repeating it comes to an end.
BY_STATUS: Final[Mapping[Action, frozenset[Status]]] = {
    "retry": frozenset({Status.FAILED, Status.CANCELLED}),
    "cancel": frozenset({Status.WAITING, Status.DEFERRED, Status.PAUSED}),
    "resume": frozenset({Status.PAUSED}),
}
_NOTHING_CHANGED: Final = RerunRequest()


class BulkBody(BulkRequest):
    """Which action, on which runs: run_ids or a status."""

    @model_validator(mode="after")
    def _check_parts(self) -> BulkBody:
        if (self.run_ids is None) == (self.status is None):
            raise ValueError("send either run_ids or status")
        if self.status is not None and self.status not in BY_STATUS.get(self.action, frozenset()):
            forms = "; ".join(f"{name} takes {', '.join(sorted(known))}" for name, known in BY_STATUS.items())
            raise ValueError(f"{self.action} does not take the status {self.status}: {forms}")
        if (self.action == "priority") != (self.priority is not None):
            raise ValueError("send priority with the action priority, and with no other")
        if (self.action == "tag") != (self.tags is not None):
            raise ValueError("send tags with the action tag, and with no other")
        return self


@bulk.post("/api/runs/bulk")
@bulk.input(TrainHeaders, location="headers", arg_name="headers")
@bulk.input(BulkBody, arg_name="body")
@bulk.output(BulkReply)
def act_on_runs(body: BulkBody, headers: TrainHeaders) -> Response:
    """Do something with many runs; each is done or refused by itself, and has its outcome in the answer.

    With ``status``, at most the 500 oldest runs that have it: repeat the request while ``left`` is above 0
    and ``succeeded`` too. Runs for which there was no time are counted in ``not_tried``. 503 only when Redis
    was away before the first run.
    """
    if body.action == "delete":
        check_scope(Scope.ADMIN, "Deleting runs")
    act = _action(body, headers.idempotency_key)
    if body.run_ids is not None:
        run_ids = list(dict.fromkeys(body.run_ids))
    else:
        # What is asked for by a status is for the queue: the runs of scripts would only refuse it.
        oldest = db().runs.list(
            SortField.TIME_ADDED,
            order="asc",
            status=body.status,
            limit=MAX_BULK_RUNS,
            is_external=False,
        )
        run_ids = [run.run_id for run in oldest.runs]
    outcomes = list(act_on_each(run_ids, act, clock=time.monotonic))
    how_many = "1 run" if len(run_ids) == 1 else f"{len(run_ids)} runs"
    note_detail(f"{body.action} of {how_many}: {' '.join(run_ids[:10])}")
    return reply(
        BulkReply(
            action=body.action,
            outcomes=outcomes,
            succeeded=sum(outcome.success for outcome in outcomes),
            refused=sum(outcome.code not in (None, NOT_TRIED) for outcome in outcomes),
            not_tried=sum(outcome.code == NOT_TRIED for outcome in outcomes),
            left=_count(body.status),
        )
    )


def act_on_each(
    run_ids: Sequence[str], act: Callable[[str], Outcome], *, clock: Callable[[], float]
) -> Iterator[Outcome]:
    """Yield what became of each run.

    What has been done is told even when Redis goes away on the way, or the time is over: the others are not
    tried then. Raises StoreUnavailable when Redis was away from the first on.
    """
    reason: str | None = None
    ends_at_s = clock() + LIMIT_S
    for place, run_id in enumerate(run_ids):
        if place and reason is None and clock() >= ends_at_s:
            reason = "There was no time left for this run. Send it again."
        if reason is not None:
            yield _refused(run_id, NOT_TRIED, reason)
            continue
        try:
            yield act(run_id)
        except StoreUnavailable as error:
            if not place:
                raise
            # What was sent may have been done without an answer; every action may be repeated.
            reason = f"{error} Send this run again."
            yield _refused(run_id, NOT_TRIED, reason)
        except WattleError as error:
            yield _refused(run_id, error.code, error.message)


def _action(body: BulkBody, idempotency_key: str | None) -> Callable[[str], Outcome]:
    store = db().controls
    changes: Mapping[str, Callable[[str], Run]] = {
        "cancel": store.cancel,
        "pause": store.pause,
        "resume": resume,
        "preempt": store.preempt,
        "retry": store.retry,
        "priority": lambda run_id: store.set_priority(run_id, body.priority or "normal"),
    }
    if body.action == "delete":
        return partial(_delete, ends_at_s=time.monotonic() + LIMIT_S)
    if body.action == "rerun":
        return partial(_rerun, idempotency_key=idempotency_key)
    if body.action in ("star", "unstar"):
        return partial(_mark, lambda run_id: db().external.set_star(run_id, body.action == "star"))
    if body.tags is not None:
        add, remove = body.tags.add, body.tags.remove
        return partial(_mark, lambda run_id: db().external.set_tags(run_id, add=add, remove=remove))
    return partial(_change, changes[body.action])


def _change(change: Callable[[str], Run], run_id: str) -> Outcome:
    return Outcome(iid=run_id, success=True, status=change(check_run_id(run_id)).status)


def _mark(mark: Callable[[str], None], run_id: str) -> Outcome:
    mark(check_run_id(run_id))
    return Outcome(iid=run_id, success=True)


def _rerun(run_id: str, *, idempotency_key: str | None) -> Outcome:
    run = get_known_run(run_id)
    key = None
    if idempotency_key is not None:  # one request queues many runs, and each needs a key of its own
        key = hashlib.sha256(f"{idempotency_key} {run_id}".encode()).hexdigest()
    new = rerun(run, _NOTHING_CHANGED, idempotency_key=key)
    return Outcome(iid=run_id, success=True, status=run.status, new_iid=new.run_id)


def _delete(run_id: str, *, ends_at_s: float) -> Outcome:
    # The last run, too, has no more time than is left for all.
    limit_s = min(FILES_LIMIT_S, max(0.0, ends_at_s - time.monotonic()))
    deleted = delete_run_and_files(check_run_id(run_id), limit_s=limit_s)
    return Outcome(iid=run_id, success=True, message=deleted.files_left)


def _refused(run_id: str, code: str, message: str) -> Outcome:
    return Outcome(iid=run_id, success=False, code=code, message=message)


def _count(status: Status | None) -> int | None:
    """Count what is left; None also when Redis has just gone away, for the outcomes must be told."""
    try:
        return None if status is None else db().runs.count_by_status()[status]
    except StoreUnavailable as error:
        log.warning("how many runs are left is not known: %s", error)
        return None
