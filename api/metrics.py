"""Points of metrics and lines of logs, as scripts send them and pages read them."""

from __future__ import annotations

from datetime import UTC, datetime

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.runs import check_run_id, get_known_run
from api.state import db, settings
from redis_db import MetricLimits
from schema import BatchReply, LinesRequest, MetricsReply, PointsRequest

metrics = APIBlueprint("metrics", __name__, tag="Metrics")


@metrics.post("/api/metrics/<iid>")
@metrics.input(PointsRequest, arg_name="body")
@metrics.output(BatchReply)
def record_points(iid: str, body: PointsRequest) -> Response:
    """Take in a batch of points of a run that its own script reports.

    The batches of a session are counted from 1; one that came before, or was left out, is answered and
    changes nothing. 409 for a run of the queue, 422 where a limit would be passed; nothing is stored then.
    """
    found = settings()
    limits = MetricLimits(found.max_metrics, found.max_metric_points, found.max_batch_points)
    return reply(db().metrics.record(get_known_run(iid), body, at=datetime.now(UTC), limits=limits))


@metrics.post("/api/logs/<iid>")
@metrics.input(LinesRequest, arg_name="body")
@metrics.output(BatchReply)
def append_log(iid: str, body: LinesRequest) -> Response:
    """Add a batch of lines to the log of a run that its own script reports.

    Batches are counted as those of points are, and apart from them.
    """
    return reply(db().external.append_log(check_run_id(iid), body))


@metrics.get("/api/metrics/<iid>")
@metrics.output(MetricsReply)
def list_metrics(iid: str) -> Response:
    """Answer what is known of every metric of a run."""
    run = get_known_run(iid)
    return reply(MetricsReply(names=list(db().metrics.list(run.run_id))))
