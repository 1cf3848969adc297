"""Who works, who has stopped answering and what became of their runs, and who shall stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.handover import show_worker
from api.state import db
from errors import NotFound
from schema import DrainRequest, Worker, WorkerReply, WorkersReply

workers = APIBlueprint("workers", __name__, tag="Workers")

MAX_GONE: Final = 100


@workers.get("/api/workers")
@workers.output(WorkersReply)
def list_workers() -> Response:
    """Answer the live workers by name, then the newest 100 of those that fell silent in the last 24 hours.

    A worker that said good-bye is in neither. One that fell silent tells which run it had, and who has it
    now.
    """
    known = db().workers.list_known(max_gone=MAX_GONE)
    live = [worker for worker in known if worker.gone_at is None]
    gone = sorted((worker for worker in known if worker.gone_at), key=_last_seen, reverse=True)
    return reply(WorkersReply(workers=list(_show([*live, *gone]))))


@workers.post("/api/workers/<worker_id>/drain")
@workers.input(DrainRequest, arg_name="body")
@workers.output(WorkerReply)
def drain_worker(worker_id: str, body: DrainRequest) -> Response:
    """Let a worker end after the run it has, or take that back. 404 for one that is not alive.

    It learns it within a second or two. The same request again changes nothing.
    """
    db().workers.set_draining(worker_id, body.is_draining)
    found = next((worker for worker in db().workers.list_live() if worker.worker_id == worker_id), None)
    if found is None:
        raise NotFound(f"Worker {worker_id[:80]!r} has just ended.")
    return reply(next(_show([found])))


def _show(found: Sequence[Worker]) -> Iterator[WorkerReply]:
    run_ids = sorted({worker.run_id for worker in found if worker.run_id})
    runs = db().runs.find_many(run_ids)
    attempts = db().runs.list_attempts_of(sorted(runs))
    now = db().now()
    for worker in found:
        run = runs.get(worker.run_id or "")
        yield show_worker(worker, run, attempts[run.run_id] if run else (), now)


def _last_seen(worker: Worker) -> datetime:
    return worker.seen_at
