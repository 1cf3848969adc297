"""Histograms of runs, as scripts send them and pages read them."""

from __future__ import annotations

from typing import Final

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.body import reply
from api.metrics import read_names
from api.runs import check_run_id, get_whole_run
from api.state import db
from errors import FieldError, InvalidInput
from schema import BatchReply, HistogramsReply, HistogramsRequest, Record

histograms = APIBlueprint("histograms", __name__, tag="Histograms")

MAX_NUMBER: Final = 2**53


class NamesQuery(Record):
    """Of which names."""

    name: str | None = Field(None, description="comma-separated or repeated, at most 20")
    after: int = Field(0, ge=0, le=MAX_NUMBER, description="with one name: only what came behind that number")


@histograms.post("/api/histograms/<iid>")
@histograms.input(HistogramsRequest, arg_name="body")
@histograms.output(BatchReply)
def record_histograms(iid: str, body: HistogramsRequest) -> Response:
    """Take in a batch of histograms of a run that its own script reports.

    Batches are counted as those of points are, and apart from them. Of a name 300 steps are kept, spread
    evenly over all that came.
    """
    db().memory.refuse_points()
    return reply(db().histograms.record(check_run_id(iid), body))


@histograms.get("/api/histograms/<iid>")
@histograms.input(NamesQuery, location="query", arg_name="query")
@histograms.output(HistogramsReply)
def list_histograms(iid: str, query: NamesQuery) -> Response:
    """Answer the names of a run's histograms and how many came; with ``name`` the histograms by step.

    Who has some of a name asks for what came ``after``, and leaves out what ``stride`` no longer keeps.
    """
    run_id = get_whole_run(iid).run_id
    names = read_names()
    if not names:
        counts = db().histograms.count(run_id)
        return reply(HistogramsReply(names=list(counts), counts=counts))
    if query.after and len(names) > 1:
        reason = "goes with one name: each has numbers of its own"
        raise InvalidInput(f"after {reason}.", details=[FieldError("after", reason)])
    return reply(HistogramsReply(histograms=db().histograms.read(run_id, names, after=query.after)))
