"""Alerts in the store that this version cannot read: the rules go on without them, and the log says so."""

from __future__ import annotations

import pytest
import redis

from redis_db import RedisDB
from tests.alert_parts import add_rule, alerting, keep_house, raised
from tests.integration.test_alert_rules import end


@pytest.mark.parametrize("state", ["no JSON", '{"since": "long ago"}'])
def test_a_state_that_cannot_be_read_stops_no_rule(
    db: RedisDB, raw: redis.Redis, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    add_rule(db, {"kind": "run_finished"})
    raw.hset("alerts:states", "another:1|run", state)
    program = alerting(db)
    run_id = end(db)
    keep_house(raw, db, program)
    assert [alert.run_id for alert in raised(db)] == [run_id]
    said = [record for record in caplog.records if "another:1|run" in record.getMessage()]
    assert len(said) == 1, "not in every round"
    assert said[0].exc_info is not None


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_stops_a_round_is_in_the_log_and_the_next_one_goes_on(
    db: RedisDB, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    add_rule(db, {"kind": "run_finished"})
    program = alerting(db)
    run_id = end(db)
    raw.hset("alerts:progress", "number", "none")
    keep_house(raw, db, program)
    assert raised(db) == []
    said = [record for record in caplog.records if "alert rules" in record.getMessage()]
    assert said
    assert said[0].exc_info is not None
    raw.hdel("alerts:progress", "number")
    keep_house(raw, db, program)
    assert [alert.run_id for alert in raised(db)] == [run_id]
