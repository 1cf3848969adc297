"""What is read of a run while somebody watches it."""

from __future__ import annotations

from typing import Any

from api.live.source import LiveSource
from api.live.view import METRICS_POINTS, points_of_each
from redis_db import RedisDB
from tests.integration.test_external_store import batch, begin, record

METRICS, POINTS = 100, 600


def test_of_a_run_with_many_metrics_the_newest_points_of_each_are_read(db: RedisDB) -> None:
    run_id = begin(db)
    names = [f"m{number}" for number in range(METRICS)]
    many: dict[str, Any] = {name: [0.5] * POINTS for name in names}
    one: dict[str, Any] = {name: [0.25] for name in names}
    record(db, run_id, batch(**many))
    found = db.metrics.list_new(run_id, {}, most=points_of_each)
    assert sum(len(points) for _, points in found.values()) == METRICS_POINTS
    source = LiveSource(db)
    source.refresh({run_id}, 0.0, wait_s=0.01)
    shown = source.views[run_id]
    newest = list(range(POINTS - METRICS_POINTS // METRICS, POINTS))
    assert shown.snapshot()["metrics"]["m7"]["steps"] == newest
    record(db, run_id, batch(2, **one))
    source.refresh({run_id}, 1.0, wait_s=0.01)
    news = shown.take_news()
    assert news is not None
    assert news["metrics"]["m7"] == {"steps": [0], "values": [0.25]}
    assert shown.metric_counts["m7"] == POINTS + 1
