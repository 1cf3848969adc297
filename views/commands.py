"""What the pages have the API do. What was known before is forgotten, so that the next drawing is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errors import ApiError
from schema import (
    AlertRule,
    DeletionReply,
    Note,
    Outcome,
    RerunRequest,
    RuleRequest,
    RunReply,
    Status,
    TagsRequest,
    TestReply,
    WorkerReply,
)
from schema.controls import MAX_BULK_RUNS
from schema.marks import SavedView, ViewRequest
from schema.replies import SearchReply
from views import source
from views.actions import RUN_NOW, Action

# 500 runs each: beyond that the reader presses again.
_MOST_REQUESTS = 20
# What the outcome of a run says for which there was no time.
NOT_TRIED = "not_tried"


@dataclass(frozen=True)
class Retried:
    """What became of the failed runs; with ``error``, until the API failed to answer as it should."""

    outcomes: Sequence[Outcome]
    """The last one of each run."""
    left: int | None
    """How many are still failed; None where it is not known."""
    error: ApiError | None = None


def act(iid: str, action: Action) -> RunReply:
    """Ask something of a run and return it as it is then."""
    api = source.api()
    try:
        match action.name:
            case "cancel":
                return api.cancel_run(iid)
            case "pause":
                return api.pause_run(iid)
            case "resume" if action is RUN_NOW:
                return api.run_now(iid)
            case "resume":
                return api.resume_run(iid)
            case "preempt":
                return api.preempt_run(iid)
            case "retry":
                return api.retry_run(iid)
            case "restore":
                return api.restore_run(iid)
            case "priority":
                return api.set_priority(iid, action.priority or "normal")
            case "delete" | "rerun" | "star" | "unstar" | "tag":
                raise ValueError(f"{action.name} has a function of its own")
    finally:
        source.forget()


def rerun(iid: str, changes: RerunRequest, *, idempotency_key: str) -> RunReply:
    """Queue a new run like this one with changes, and return the new one; once under each key."""
    try:
        return source.api().rerun_run(
            iid, changes.hyper_params, options=changes.options, idempotency_key=idempotency_key
        )
    finally:
        source.forget()


def act_on_all(action: Action, run_ids: Sequence[str]) -> list[Outcome]:
    """Ask the same of many runs; each has its own outcome."""
    try:
        return source.api().bulk(action.bulk_name, run_ids).outcomes
    finally:
        source.forget()


@dataclass(frozen=True)
class Act:
    """Something to be done with many runs; tags go with the action tag alone."""

    action: Action
    tags: TagsRequest | None = None


def act_on_many(act: Act, run_ids: Sequence[str]) -> Retried:
    """Do the same with any number of runs, as many at a time as the API takes."""
    outcomes: dict[str, Outcome] = {}
    waiting = list(run_ids)
    try:
        while waiting:
            part, waiting = waiting[:MAX_BULK_RUNS], waiting[MAX_BULK_RUNS:]
            reply = source.api().bulk(act.action.bulk_name, part, tags=act.tags)
            outcomes |= {outcome.iid: outcome for outcome in reply.outcomes}
            if reply.not_tried < len(part):
                # For these there was no time; a request that came to none at all is not repeated.
                waiting = [each.iid for each in reply.outcomes if each.code == NOT_TRIED] + waiting
    except ApiError as error:
        return Retried(list(outcomes.values()), None, error)
    finally:
        source.forget()
    return Retried(list(outcomes.values()), 0)


def find_all(q: str, status: Status | None) -> SearchReply:
    """Return the ids of all runs that match."""
    return source.api().search_runs(q, status=status)


def set_star(iid: str, *, is_starred: bool) -> RunReply:
    """Give a run a star, or take it away."""
    try:
        return source.api().set_star(iid, is_starred=is_starred)
    finally:
        source.forget()


def edit_note(iid: str, note_id: str, text: str) -> Note:
    """Replace the text of a note."""
    try:
        return source.api().edit_note(iid, note_id, text)
    finally:
        source.forget()


def save_view(view: ViewRequest) -> SavedView:
    """Keep a view of the list of runs."""
    try:
        return source.api().save_view(view)
    finally:
        source.forget()


def delete_view(name: str) -> None:
    """Forget a view."""
    try:
        source.api().delete_view(name)
    finally:
        source.forget()


def retry_all_failed() -> Retried:
    """Put every failed run back into its queue, as many at a time as the API takes."""
    outcomes: dict[str, Outcome] = {}
    left: int | None = None
    try:
        for _ in range(_MOST_REQUESTS):
            reply = source.api().bulk("retry", status=Status.FAILED)
            # A run for which there was no time is tried again by the next request.
            outcomes |= {outcome.iid: outcome for outcome in reply.outcomes}
            left = reply.left
            if not reply.left or not reply.succeeded:
                break
    except ApiError as error:
        return Retried(list(outcomes.values()), None, error)
    finally:
        source.forget()
    return Retried(list(outcomes.values()), left)


def get_deletion(iid: str) -> DeletionReply:
    """Return what would go with a run."""
    return source.api().get_deletion(iid)


def delete_run(iid: str) -> DeletionReply:
    """Delete a run and return what went with it."""
    try:
        return source.api().delete_run(iid)
    finally:
        source.forget()


def add_note(iid: str, text: str) -> Note:
    """Add a note to a run."""
    try:
        return source.api().add_note(iid, text)
    finally:
        source.forget()


def delete_note(iid: str, note_id: str) -> None:
    """Delete a note of a run."""
    try:
        source.api().delete_note(iid, note_id)
    finally:
        source.forget()


def set_tags(iid: str, *, add: Sequence[str], remove: Sequence[str]) -> RunReply:
    """Add and remove tags of a run."""
    try:
        return source.api().set_tags(iid, add=add, remove=remove)
    finally:
        source.forget()


def drain_worker(worker_id: str, *, is_draining: bool) -> WorkerReply:
    """Let a worker finish its run and then end, or take that back."""
    try:
        return source.api().drain_worker(worker_id, is_draining)
    finally:
        source.forget()


def put_rule(rule: RuleRequest, rule_id: str | None) -> AlertRule:
    """Keep a new alert rule, or replace one."""
    try:
        api = source.api()
        return api.add_rule(rule) if rule_id is None else api.change_rule(rule_id, rule)
    finally:
        source.forget()


def delete_rule(rule_id: str) -> AlertRule:
    """Forget an alert rule."""
    try:
        return source.api().delete_rule(rule_id)
    finally:
        source.forget()


def send_test(channel: str) -> TestReply:
    """Send a channel a test message."""
    try:
        return source.api().send_test(channel)
    finally:
        source.forget()
