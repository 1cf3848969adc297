"""Costs on the pages: those of runs without an epoch, and what stands beside CodeCarbon's figure."""

from __future__ import annotations

from redis_db import RedisDB
from schema import Status
from tests.acted_run import ActedRun
from tests.integration import test_views
from tests.integration.test_views import Open, metric, texts
from tests.records import extra, running

api_url, open_page = test_views.api_url, test_views.open_page


def test_the_totals_page_shows_what_was_used_without_any_epoch(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    lease = running(db)
    db.runs.record_extra(lease, extra(energy_kwh=0.5, co2_g=50.0, ended_at=db.now()))
    db.queue.finish(lease, Status.DONE)

    app = open_page("totals", api_url)

    assert not app.exception
    assert metric(app, "Energy") == "500 Wh"
    assert list(app.dataframe[0].value["Epochs"]) == [0]


def test_beside_codecarbon_s_figure_stands_what_ours_leaves_out(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    acted.record(2)
    db.runs.describe(acted.lease, {"codecarbon_energy_kwh": 0.01})

    assert "ours counts epochs only" in texts(open_page("run", api_url, iid=acted.run_id))
