"""The archive: what is in it, how runs go there at once, and how one comes back."""

from __future__ import annotations

import time
from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.replies import show_run
from api.runs import check_run_id
from api.state import archive, archive_rounds, db, settings
from archive.moving import DAY_S
from archive.rounds import read_round
from errors import NotFound
from schema import RunReply
from schema.archive import ArchiveReply, ArchiveRequest

archiving = APIBlueprint("archive", __name__, tag="Archive")


@archiving.get("/api/archive")
@archiving.output(ArchiveReply)
def get_archive() -> Response:
    """Answer how many runs were moved to the archive, what they take there, and when more will be."""
    return reply(_describe())


@archiving.post("/api/archive")
@archiving.input(ArchiveRequest, arg_name="body")
@archiving.output(ArchiveReply, status_code=202)
def archive_now(body: ArchiveRequest) -> Response:
    """Begin at once to move runs to the archive that ended so long ago, without waiting for it.

    GET /api/archive tells how far that is. 409 while runs are being moved already.
    """
    days = body.older_than_days
    begun = archive_rounds().begin_now(older_than_s=None if days is None else days * DAY_S)
    # What was begun, were it over by now: who waits for its end knows it by when it began.
    return reply(_describe().model_copy(update={"under_way": begun}), HTTPStatus.ACCEPTED)


@archiving.post("/api/runs/<iid>/restore")
@archiving.output(RunReply)
def restore_run(iid: str) -> Response:
    """Bring a run back from the archive, whole, so that it can be changed again.

    The body is {}. A run that is not archived is answered as it is. Points of metrics that were
    deleted for their age do not come back.
    """
    run_id = check_run_id(iid)
    place = db().archiving.find_place(run_id)
    if place is not None:
        try:
            bundle = archive().load(place)
        except NotFound:
            if db().archiving.find_place(run_id) == place:
                raise
        else:
            db().archiving.restore(bundle)
    return reply(show_run(db().runs.get(run_id)), HTTPStatus.OK)


def _describe() -> ArchiveReply:
    store, rounds = db().archiving, archive_rounds()
    # First what goes on: who asks until that is nothing then finds what it did.
    under_way = rounds.find_under_way()
    runs = store.count()
    size = archive().measure() if runs else None
    return ArchiveReply(
        runs=runs,
        points=size.points if size else 0,
        bytes=size.bytes if size else 0,
        after_days=settings().archive_after_days,
        next_at=rounds.next_at(time.time()),
        last=read_round(store.read_facts()),
        under_way=under_way,
        memory_share=db().memory.share(),
    )
