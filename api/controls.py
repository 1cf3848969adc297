"""What can be done with one run: cancel, pause, resume, preempt, retry, rerun, prioritise, delete."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api import resuming
from api.body import reply
from api.deleting import delete_run_and_files, preview
from api.replies import show_run
from api.rerunning import rerun
from api.runs import TrainHeaders, check_run_id, get_known_run
from api.state import db
from errors import Conflict, FieldError
from schema import DeletionReply, NoBody, PriorityRequest, Record, RerunRequest, Run, RunReply

controls = APIBlueprint("controls", __name__, tag="Control")

NOT_ENDED: dict[int | str, dict[str, str | dict[str, dict[str, Any]]]] = {
    409: {
        "description": "The run has not ended",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}},
    }
}


class DeleteQuery(Record):
    """The second yes to a deletion."""

    confirm: str | None = Field(None, max_length=64, description="the run's id once more; without it, a 409")


@controls.post("/api/runs/<iid>/cancel")
@controls.input(NoBody, arg_name="_body")
@controls.output(RunReply)
def cancel_run(iid: str, _body: NoBody) -> Response:
    """End a run: at once while no worker has it, else at the next step of its training.

    The answer has ``request`` = cancel until then. 409 for a run that is done or has failed; the same request
    again changes nothing.
    """
    return _answer(db().controls.cancel(check_run_id(iid)))


@controls.post("/api/runs/<iid>/pause")
@controls.input(NoBody, arg_name="_body")
@controls.output(RunReply)
def pause_run(iid: str, _body: NoBody) -> Response:
    """Keep a run from workers until it is resumed; one that is running saves a checkpoint first.

    409 for a run that has ended; the same request again changes nothing.
    """
    return _answer(db().controls.pause(check_run_id(iid)))


@controls.post("/api/runs/<iid>/resume")
@controls.input(NoBody, arg_name="_body")
@controls.output(RunReply)
def resume_run(iid: str, _body: NoBody) -> Response:
    """Let a paused or deferred run be claimed next, or take back what a running one was asked for.

    409 for a run that has ended.
    """
    return _answer(resuming.resume(check_run_id(iid)))


@controls.post("/api/runs/<iid>/run-now")
@controls.input(NoBody, arg_name="_body")
@controls.output(RunReply)
def run_now(iid: str, _body: NoBody) -> Response:
    """Let a run be trained as soon as it can, whatever its carbon plan says; it is planned no more.

    One that was deferred is claimed next, one that is paused for its plan goes on. Where no live worker takes
    runs in the zone of its plan, it runs in another of its zones. 409 for a run that has ended.
    """
    return _answer(resuming.run_now(check_run_id(iid)))


@controls.post("/api/runs/<iid>/preempt")
@controls.input(NoBody, arg_name="_body")
@controls.output(RunReply)
def preempt_run(iid: str, _body: NoBody) -> Response:
    """Let the worker of a running run save a checkpoint and put it back, to be claimed again.

    409 for a run that is not running.
    """
    return _answer(db().controls.preempt(check_run_id(iid)))


@controls.post("/api/runs/<iid>/retry")
@controls.input(NoBody, arg_name="_body")
@controls.output(RunReply)
def retry_run(iid: str, _body: NoBody) -> Response:
    """Queue a run that has failed or was cancelled again; it goes on from its checkpoint. 409 for others."""
    return _answer(db().controls.retry(check_run_id(iid)))


@controls.post("/api/runs/<iid>/priority")
@controls.input(PriorityRequest, arg_name="body")
@controls.output(RunReply)
def set_priority(iid: str, body: PriorityRequest) -> Response:
    """Let a run be claimed before the normal ones of its queue, or no longer.

    409 for a run that has ended.
    """
    return _answer(db().controls.set_priority(check_run_id(iid), body.priority))


@controls.post("/api/runs/<iid>/rerun")
@controls.input(TrainHeaders, location="headers", arg_name="headers")
@controls.input(RerunRequest, arg_name="body")
@controls.output(RunReply, status_code=201)
def rerun_run(iid: str, body: RerunRequest, headers: TrainHeaders) -> Response:
    """Queue a new run like this one, with the changes in the body; {} for none.

    Its hyper_params are validated anew. A repeated Idempotency-Key with the same body answers with the same
    new run.
    """
    new = rerun(get_known_run(iid), body, idempotency_key=headers.idempotency_key)
    return reply(show_run(new), HTTPStatus.CREATED)


@controls.get("/api/runs/<iid>/deletion")
@controls.output(DeletionReply)
@controls.doc(responses=NOT_ENDED)
def get_deletion(iid: str) -> Response:
    """Answer what deleting a run that has ended would remove. 409 for another."""
    return reply(preview(check_run_id(iid)))


@controls.delete("/api/runs/<iid>")
@controls.input(DeleteQuery, location="query", arg_name="query")
@controls.output(DeletionReply)
def delete_run(iid: str, query: DeleteQuery) -> Response:
    """Delete a run that has ended, with its log, epochs, models, checkpoints and artifacts, for good.

    What it used stays in the totals. 409 without ``confirm`` and while the run has not ended; 404 once
    everything of it is gone.
    """
    run_id = check_run_id(iid)
    if query.confirm != run_id:
        preview(run_id)  # 404 before 409
        raise Conflict(
            f"Deleting run {run_id} cannot be undone: GET /api/runs/{run_id}/deletion says what would go. "
            f"If you mean it, repeat the request with ?confirm={run_id}",
            details=[FieldError("confirm", f"should be {run_id}")],
        )
    return reply(delete_run_and_files(run_id))


def _answer(run: Run) -> Response:
    return reply(show_run(run))
