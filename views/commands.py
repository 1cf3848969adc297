"""What the pages have the API do. What was known before is forgotten, so that the next drawing is true."""

from __future__ import annotations

from collections.abc import Sequence

from schema import BulkReply, DeletionReply, RunReply, WorkerReply
from views import source
from views.actions import ActionName


def act(iid: str, name: ActionName) -> RunReply:
    """Ask something of a run and return it as it is then; a rerun returns the new run."""
    api = source.api()
    calls = {
        "cancel": api.cancel_run,
        "pause": api.pause_run,
        "resume": api.resume_run,
        "preempt": api.preempt_run,
        "retry": api.retry_run,
        "rerun": api.rerun_run,
        "prioritise": lambda iid: api.set_priority(iid, "high"),
        "unprioritise": lambda iid: api.set_priority(iid, "normal"),
    }
    try:
        return calls[name](iid)
    finally:
        source.forget()


def act_on_all(name: ActionName, run_ids: Sequence[str]) -> BulkReply:
    """Ask the same of many runs; each has its own outcome."""
    try:
        return source.api().bulk(name, run_ids=run_ids)
    finally:
        source.forget()


def retry_all_failed() -> BulkReply:
    """Put every failed run back into its queue."""
    try:
        return source.api().bulk("retry", status="failed")
    finally:
        source.forget()


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
