"""The routes of a run's log."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from redis_db import RedisDB
from tests.integration.test_api import api, app, claim, submit

__all__ = ["api", "app"]


def test_a_log_is_read_on_from_the_last_line_seen(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    lease = claim(db)
    db.log.append(lease, ["one", "two"])
    lines = api.get(f"/api/runs/{iid}/log").get_json()["lines"]
    db.log.append(lease, ["three"])
    later = api.get(f"/api/runs/{iid}/log?after={lines[-1]['line_id']}").get_json()["lines"]

    assert [line["text"] for line in lines] == ["one", "two"]
    assert [line["text"] for line in later] == ["three"]


@pytest.mark.parametrize("route", ["/api/runs/{}/log", "/api/logs/{}"])
def test_a_log_is_searched_and_read_backwards(api: FlaskClient, db: RedisDB, route: str) -> None:
    iid = submit(api)
    db.log.append(claim(db), ["loss 3", "one", "loss 2", "Loss 1"])
    address = route.format(iid)
    found = api.get(f"{address}?contains=LOSS&limit=2").get_json()
    assert [line["text"] for line in found["lines"]] == ["loss 2", "Loss 1"]
    rest = api.get(f"{address}?contains=LOSS&before={found['older']}").get_json()
    assert ([line["text"] for line in rest["lines"]], rest["older"]) == (["loss 3"], None)
    newest = api.get(f"{address}?limit=2").get_json()
    older = api.get(f"{address}?before={newest['older']}").get_json()
    assert [line["text"] for line in older["lines"]] == ["loss 3", "one"]
    assert older["older"] is None
    assert api.get(f"{address}?after={found['newest']}").get_json()["newest"] == found["newest"]


@pytest.mark.parametrize("query", ["contains=", f"contains={'x' * 201}", "after=1-0&before=2-0", "before=x"])
def test_a_search_of_a_log_that_makes_no_sense_is_refused(api: FlaskClient, query: str) -> None:
    assert api.get(f"/api/logs/{submit(api)}?{query}").status_code == 422


@pytest.mark.parametrize("after", ["x", "-", "1-", "1%0a", "9" * 40, "٣"])
def test_a_line_that_cannot_exist_is_refused(api: FlaskClient, after: str) -> None:
    assert api.get(f"/api/runs/{submit(api)}/log?after={after}").status_code == 422
