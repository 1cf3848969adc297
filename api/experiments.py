"""Runs that people's own scripts report, and what is said about any run: tags and notes."""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api.access.callers import bound_project, own_key, own_project
from api.body import reply
from api.replies import show_run
from api.runs import TrainHeaders, check_run_id, get_known_run, get_whole_run
from api.state import db
from errors import NotAllowed, NotFound
from schema import (
    DEFAULT_PROJECT,
    ExperimentRequest,
    Note,
    NoteRequest,
    NotesReply,
    ParamsRequest,
    Run,
    RunError,
    RunReply,
    Status,
    StatusRequest,
    TagsRequest,
)

experiments = APIBlueprint("experiments", __name__, tag="Experiments")


@experiments.post("/api/experiments")
@experiments.input(TrainHeaders, location="headers", arg_name="headers")
@experiments.input(ExperimentRequest, arg_name="body")
@experiments.output(RunReply, status_code=201)
def begin_experiment(body: ExperimentRequest, headers: TrainHeaders) -> Response:
    """Begin a run that its own script reports, or go on with one.

    201 with the run, which is running; 200 where the Idempotency-Key came before with the same body, and with
    ``resume``, which also lets a run go on that has ended and adds the params and tags to what it has. 404
    for a ``resume`` of no run, 409 for one of a run of the queue.
    """
    if bound_project() is not None:
        body = _kept_to_project(body)
    if body.resume is not None:
        return reply(show_run(_resume(check_run_id(body.resume), body)))
    begun = db().external.begin(body, idempotency_key=own_key(headers.idempotency_key))
    return reply(show_run(begun.run), HTTPStatus.CREATED if begun.is_new else HTTPStatus.OK)


@experiments.post("/api/experiments/<iid>/params")
@experiments.input(ParamsRequest, arg_name="body")
@experiments.output(RunReply)
def set_params(iid: str, body: ParamsRequest) -> Response:
    """Add params to a run that its own script reports; the last value of a name wins, and the log tells it.

    409 for a run of the queue, whose hyper_params are frozen.
    """
    run_id = check_run_id(iid)
    db().external.set_params(run_id, body.params)
    return _answer(run_id)


@experiments.post("/api/experiments/<iid>/tags")
@experiments.input(TagsRequest, arg_name="body")
@experiments.output(RunReply)
def set_tags(iid: str, body: TagsRequest) -> Response:
    """Add and remove tags of a run. key=value takes the place of another tag of that key."""
    run_id = check_run_id(iid)
    db().external.set_tags(run_id, add=body.add, remove=body.remove)
    return _answer(run_id)


@experiments.post("/api/experiments/<iid>/notes")
@experiments.input(TrainHeaders, location="headers", arg_name="headers")
@experiments.input(NoteRequest, arg_name="body")
@experiments.output(Note, status_code=201)
def add_note(iid: str, body: NoteRequest, headers: TrainHeaders) -> Response:
    """Add a note to a run. 200 with the note where the Idempotency-Key came before with it, 409 with another.

    409 also when the run has 1,000.
    """
    key = headers.idempotency_key
    added = db().external.add_note(check_run_id(iid), body.text, idempotency_key=key)
    return reply(added.note, HTTPStatus.CREATED if added.is_new else HTTPStatus.OK)


@experiments.get("/api/experiments/<iid>/notes")
@experiments.output(NotesReply)
def list_notes(iid: str) -> Response:
    """Answer the notes of a run, oldest first."""
    return reply(NotesReply(db().external.list_notes(get_whole_run(iid).run_id)))


@experiments.delete("/api/experiments/<iid>/notes/<note_id>")
@experiments.output({}, status_code=204)
def delete_note(iid: str, note_id: str) -> tuple[str, HTTPStatus]:
    """Delete a note of a run for good."""
    if not db().external.delete_note(get_known_run(iid).run_id, note_id):
        raise NotFound(f"Run {iid} has no note {note_id[:50]!r}.")
    return "", HTTPStatus.NO_CONTENT


@experiments.post("/api/experiments/<iid>/status")
@experiments.input(StatusRequest, arg_name="body")
@experiments.output(RunReply)
def set_status(iid: str, body: StatusRequest) -> Response:
    """End a run, as its own script says it ended.

    The same status again changes nothing, another one is a 409, and so is a run of the queue. A run that
    failed for its silence alone may still end otherwise. Where another session has opened the run since, its
    end is the run's: this one changes nothing.
    """
    error = None
    if body.error is not None and body.end is Status.FAILED:
        error = RunError.model_validate(body.error.model_dump())
    run_id = check_run_id(iid)
    run = db().external.end(run_id, body.end, reason=body.reason, error=error, session=body.session)
    return reply(show_run(run))


def _kept_to_project(body: ExperimentRequest) -> ExperimentRequest:
    """Return a request of a token of one project as a run of that project.

    Raises NotAllowed for another project, and for models, which are of all; NotFound for a run of another.
    """
    if body.from_models:
        raise NotAllowed("Models are of all projects, and this token is of one. Leave from_models out.")
    if body.resume is not None:
        get_known_run(body.resume)
    asked = None if body.project == DEFAULT_PROJECT else body.project
    return body.model_copy(update={"project": own_project(asked)})


def _resume(run_id: str, body: ExperimentRequest) -> Run:
    """Go on with a run; one whose params or tags are refused stays as it ended."""
    found = db().external
    # Without any, and none is changed: a run of the queue is refused here, before anything of it is touched.
    found.set_params(run_id, {})
    if body.from_models:
        db().models.use(run_id, list(dict.fromkeys(body.from_models)))
    found.set_params(run_id, body.params)
    if body.tags:
        found.set_tags(run_id, add=body.tags, remove=())
    found.reopen(run_id, session=body.session)
    return db().runs.get(run_id)


def _answer(run_id: str) -> Response:
    return reply(show_run(db().runs.get(run_id)))
