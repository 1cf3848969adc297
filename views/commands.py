"""What the pages have the API do. What was known before is forgotten, so that the next drawing is true."""

from __future__ import annotations

from collections.abc import Sequence

from schema import DeletionReply, Outcome, RunReply, Status, WorkerReply
from views import source
from views.actions import Action

# 500 runs each: beyond that the reader presses again.
_MOST_REQUESTS = 20


def act(iid: str, action: Action) -> RunReply:
    """Ask something of a run and return it as it is then; a rerun returns the new run."""
    api = source.api()
    try:
        match action.name:
            case "cancel":
                return api.cancel_run(iid)
            case "pause":
                return api.pause_run(iid)
            case "resume":
                return api.resume_run(iid)
            case "preempt":
                return api.preempt_run(iid)
            case "retry":
                return api.retry_run(iid)
            case "rerun":
                return api.rerun_run(iid)
            case "priority":
                return api.set_priority(iid, action.priority or "normal")
            case "delete":
                raise ValueError("a deletion is confirmed first: use delete_run")
    finally:
        source.forget()


def act_on_all(action: Action, run_ids: Sequence[str]) -> list[Outcome]:
    """Ask the same of many runs; each has its own outcome."""
    try:
        return source.api().bulk(action.name, run_ids).outcomes
    finally:
        source.forget()


def retry_all_failed() -> list[Outcome]:
    """Put every failed run back into its queue, as many at a time as the API takes."""
    outcomes: list[Outcome] = []
    try:
        for _ in range(_MOST_REQUESTS):
            reply = source.api().bulk("retry", status=Status.FAILED)
            outcomes += reply.outcomes
            if not reply.left or not reply.succeeded:
                break
    finally:
        source.forget()
    return outcomes


def get_deletion(iid: str) -> DeletionReply:
    """Return what would go with a run."""
    return source.api().get_deletion(iid)


def delete_run(iid: str) -> DeletionReply:
    """Delete a run and return what went with it."""
    try:
        return source.api().delete_run(iid)
    finally:
        source.forget()


def drain_worker(worker_id: str, *, is_draining: bool) -> WorkerReply:
    """Let a worker finish its run and then end, or take that back."""
    try:
        return source.api().drain_worker(worker_id, is_draining)
    finally:
        source.forget()
