"""What the page says of a retry of all failed runs that takes more than one request."""

from __future__ import annotations

from typing import Any

import pytest

from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from schema import BulkReply, Outcome
from tests.integration import test_control_pages
from tests.integration.test_control_pages import failed, notices
from tests.integration.test_views import Open, button, texts

api_url, open_page = test_control_pages.api_url, test_control_pages.open_page


def test_what_was_retried_before_the_api_fell_silent_is_told(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    retried, untried = failed(db), failed(db)
    app = open_page("runs", api_url, status="failed")
    requests: list[object] = []

    def first_only(self: Client, *asked: Any, **options: Any) -> BulkReply:
        requests.append(asked)
        if len(requests) > 1:
            raise ApiUnavailable("No answer.")
        db.controls.retry(retried.run_id)
        late = Outcome(iid=untried.run_id, success=False, code="not_tried", message="No time.")
        done = Outcome(iid=retried.run_id, success=True)
        return BulkReply(action="retry", outcomes=[done, late], succeeded=1, refused=0, not_tried=1, left=1)

    monkeypatch.setattr(Client, "bulk", first_only)
    button(app, "Retry all").click().run()
    button(app, "Retry 2 runs").click().run()
    assert "1 run queued again, 1 not:" in texts(app)
    assert "it is not known which runs were queued again" in texts(app)
    assert "None queued again" not in texts(app)


def test_a_run_that_the_next_request_retries_counts_once(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failed(db)
    app = open_page("runs", api_url, status="failed")
    bulk = Client.bulk
    requests: list[object] = []

    def late_first(self: Client, *asked: Any, **options: Any) -> BulkReply:
        requests.append(asked)
        if len(requests) > 1:
            return bulk(self, *asked, **options)
        outcomes = [
            Outcome(iid="f" * 32, success=True),
            Outcome(iid=run.run_id, success=False, code="not_tried", message="No time."),
        ]
        return BulkReply(action="retry", outcomes=outcomes, succeeded=1, refused=0, not_tried=1, left=1)

    monkeypatch.setattr(Client, "bulk", late_first)
    button(app, "Retry all").click().run()
    button(app, "Retry 1 run").click().run()
    assert notices(app) == ["2 runs queued again."]
