"""Alert rules that come with an import: they look at what happens from then on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from api.state import state_of
from archive.parcels import pack
from backend import create_app
from redis_db import RedisDB
from schema import RunOptions, Status
from schema.archive import Belonging
from settings import Settings
from tests.alert_parts import add_rule, alerting, keep_house, raised
from tests.integration.test_export import send
from tests.records import claim

RULE_ID = "ab" * 16


def fail(db: RedisDB) -> str:
    run_id = db.queue.submit({"num_epochs": 1}, RunOptions()).run_id
    db.queue.finish(claim(db), Status.FAILED)
    return run_id


def rule_of(**changes: Any) -> Belonging:
    long_ago = datetime.now(UTC) - timedelta(days=100)
    known = {"rule_id": RULE_ID, "name": "Night", "condition": {"kind": "run_failed"}, "channels": []}
    return Belonging("rules", RULE_ID, {**known, "active_since": long_ago.isoformat(), **changes})


@pytest.mark.parametrize("has_rules", [False, True])
def test_what_failed_before_a_rule_was_imported_raises_nothing(
    db: RedisDB, raw: redis.Redis, tmp_path: Path, has_rules: bool
) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), db)
    watching, before = alerting(db), db.now()
    for _ in range(3):
        fail(db)
    if has_rules:
        add_rule(db, {"kind": "run_finished"})
        keep_house(raw, db, watching)
    content = b"".join(pack([], [("all", [rule_of()])], layout=1, version="1"))
    assert send(app.test_client(), content).get_json()["others"]["rules"] == 1
    since = db.alerts.get_rule(RULE_ID).active_since
    assert before < since <= db.now()
    keep_house(raw, db, watching)
    assert raised(db) == []
    assert send(app.test_client(), content).get_json()["others"]["rules"] == 0
    assert db.alerts.get_rule(RULE_ID).active_since == since, "a second time it is known"
    later = fail(db)
    keep_house(raw, db, watching)
    assert [alert.run_id for alert in raised(db)] == [later]
    state_of(app).archive.close()
