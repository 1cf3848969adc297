"""Points of metrics and lines of logs, as scripts send them and pages read them."""

from __future__ import annotations

from datetime import UTC, datetime

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import Field

from api.body import reply
from api.runs import check_run_id, get_whole_run
from api.state import db, settings
from errors import FieldError, InvalidInput
from redis_db import MetricLimits, Span
from schema import BatchReply, LinesRequest, Method, MetricsReply, PointsRequest, Record
from schema.metrics import CostName

metrics = APIBlueprint("metrics", __name__, tag="Metrics")

MAX_NAMES = 20


class PointsQuery(Record):
    """Which points of which metrics to answer."""

    name: str | None = Field(
        None, description="metrics whose points are wanted, comma-separated or repeated, at most 20"
    )
    first_step: int | None = Field(None, alias="from", ge=0, le=2**63 - 1, description="the first step")
    last_step: int | None = Field(None, alias="to", ge=0, le=2**63 - 1, description="the last step, included")
    points: int = Field(1_000, ge=4, le=10_000, description="most points of each metric")
    method: Method = Field(
        "minmax", description="how fewer are chosen: minmax loses no peak, lttb keeps what the eye sees"
    )
    cost: CostName | None = Field(
        None, description="answer also, as ``costs``, what the run had used of it by each point"
    )


@metrics.post("/api/metrics/<iid>")
@metrics.input(PointsRequest, arg_name="body")
@metrics.output(BatchReply)
def record_points(iid: str, body: PointsRequest) -> Response:
    """Take in a batch of points of a run that its own script reports.

    The batches of a session are counted from 1; one that came before, or was left out, is answered and
    changes nothing. 409 for a run of the queue, 422 where a limit would be passed, 503
    where Redis has room for runs alone; nothing is stored then.
    """
    db().memory.refuse_points()
    found = settings()
    limits = MetricLimits(found.max_metrics, found.max_metric_points, found.max_batch_points)
    return reply(db().metrics.record(check_run_id(iid), body, at=datetime.now(UTC), limits=limits))


@metrics.post("/api/logs/<iid>")
@metrics.input(LinesRequest, arg_name="body")
@metrics.output(BatchReply)
def append_log(iid: str, body: LinesRequest) -> Response:
    """Add a batch of lines to the log of a run that its own script reports.

    Batches are counted as those of points are, and apart from them.
    """
    return reply(db().external.append_log(check_run_id(iid), body))


@metrics.get("/api/metrics/<iid>")
@metrics.input(PointsQuery, location="query", arg_name="query")
@metrics.output(MetricsReply)
def list_metrics(iid: str, query: PointsQuery) -> Response:
    """Answer what is known of every metric of a run; with ``name`` the points of those metrics by step.

    Of a run of the queue they are its epochs. 404 for a metric that the run does not have.
    """
    names = read_names()
    run = get_whole_run(iid, has_points=bool(names))
    if not names:
        return reply(MetricsReply(names=list(db().metrics.list(run))))
    span = Span(query.first_step, query.last_step, query.points, query.method)
    return reply(MetricsReply(metrics=db().metrics.read(run, names, span, cost=query.cost)))


def read_names() -> list[str]:
    """Return the names of a query, each once; the parameter may also be repeated."""
    parts = [part.strip() for text in request.args.getlist("name") for part in text.split(",")]
    names = list(dict.fromkeys(part for part in parts if part))
    if len(names) > MAX_NAMES:
        raise InvalidInput(
            f"At most {MAX_NAMES} metrics can be read at once. Ask for the others in another request.",
            details=[FieldError("name", f"at most {MAX_NAMES}")],
        )
    return names
