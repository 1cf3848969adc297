"""What people mark runs with, and the views of the list that they keep."""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.replies import show_run
from api.runs import check_run_id
from api.state import db
from schema import Note, NoteRequest, RunReply
from schema.marks import SavedView, StarRequest, ViewRequest, ViewsReply

marks = APIBlueprint("marks", __name__, tag="Stars, notes and saved views")


@marks.post("/api/runs/<iid>/star")
@marks.input(StarRequest, arg_name="body")
@marks.output(RunReply)
def set_star(iid: str, body: StarRequest) -> Response:
    """Give a run a star, or take it away; the same request again changes nothing."""
    run_id = check_run_id(iid)
    db().external.set_star(run_id, body.starred)
    return reply(show_run(db().runs.get(run_id)))


@marks.post("/api/experiments/<iid>/notes/<note_id>")
@marks.input(NoteRequest, arg_name="body")
@marks.output(Note)
def edit_note(iid: str, note_id: str, body: NoteRequest) -> Response:
    """Replace the text of a note; it keeps its place and its time."""
    return reply(db().external.edit_note(check_run_id(iid), note_id, body.text))


@marks.get("/api/views")
@marks.output(ViewsReply)
def list_views() -> Response:
    """Answer the saved views of the list of runs, by name; everybody has the same."""
    return reply(ViewsReply(views=list(db().views.list())))


@marks.post("/api/views")
@marks.input(ViewRequest, arg_name="body")
@marks.output(SavedView, status_code=201)
def save_view(body: ViewRequest) -> Response:
    """Keep a view. 409 when there is one of that name, unless ``replace`` is true, and when there are 200."""
    fields = {name: getattr(body, name) for name in ViewRequest.model_fields if name != "replace"}
    view = SavedView(**fields, saved_at=db().now())
    db().views.put(view, replace=body.replace)
    return reply(view, HTTPStatus.CREATED)


@marks.delete("/api/views/<name>")
@marks.output({}, status_code=204)
def delete_view(name: str) -> tuple[str, HTTPStatus]:
    """Forget a view; the runs stay as they are."""
    db().views.delete(name)
    return "", HTTPStatus.NO_CONTENT
