"""Quotas: nothing is queued over one, a claim keeps to the running ones, and what counts is exact."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from backend import create_app
from errors import TooMany
from redis_db import RedisDB
from schema import EpochResult, RunOptions, Status
from schema.access import Scope, TokenRequest
from schema.quotas import QuotaLimits
from settings import Settings
from tests.records import claim


def submit(db: RedisDB, project: str = "vision", **given: Any) -> str:
    params = {"num_epochs": 1} | given.pop("params", {})
    return db.queue.submit(params, RunOptions(project=project), **given).run_id


def limit(db: RedisDB, name: str = "vision", **limits: Any) -> None:
    db.quotas.put("project", name, QuotaLimits(**limits))


def counted(db: RedisDB, name: str = "vision") -> tuple[int, int]:
    used = db.quotas.get("project", name).used
    return used.waiting_runs, used.running_runs


def epoch(**values: Any) -> EpochResult:
    given = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "test_loss": 1.0, "test_accuracy": 0.5}
    return EpochResult.model_validate({**given, "duration_s": 1800.0, **values})


def test_one_run_more_than_may_wait_is_refused_in_words(db: RedisDB) -> None:
    limit(db, waiting_runs=2)
    first = submit(db)
    submit(db)
    with pytest.raises(TooMany, match=r"project vision may have 2 runs that wait.*has 2") as refused:
        submit(db)
    assert refused.value.retry_after_s is not None
    submit(db, "speech")
    db.controls.cancel(first)
    submit(db)
    assert counted(db) == (2, 0)


def test_a_refused_run_is_nowhere(db: RedisDB, raw: redis.Redis) -> None:
    limit(db, waiting_runs=0)
    before = set(raw.keys("*"))
    with pytest.raises(TooMany):
        submit(db, run_id="a", idempotency_key="k")
    assert set(raw.keys("*")) == before


def test_of_many_at_once_as_many_are_queued_as_there_are_places(db: RedisDB) -> None:
    limit(db, waiting_runs=5)

    def try_once(_: int) -> bool:
        try:
            submit(db)
        except TooMany:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(try_once, range(40))) == 5
    assert counted(db) == (5, 0)


def test_a_repeated_request_is_answered_with_its_run_when_the_quota_is_full(db: RedisDB) -> None:
    limit(db, waiting_runs=1)
    run_id = submit(db, idempotency_key="k")
    assert submit(db, idempotency_key="k") == run_id


def test_a_run_counts_where_it_is_whatever_becomes_of_it(db: RedisDB) -> None:
    run_id = submit(db)
    assert counted(db) == (1, 0)
    lease = claim(db)
    assert counted(db) == (0, 1)
    db.queue.release(lease, reason="the worker ends")
    assert counted(db) == (1, 0)
    db.controls.pause(run_id)
    assert counted(db) == (1, 0)
    db.controls.resume(run_id)
    db.queue.finish(claim(db), Status.DONE)
    assert counted(db) == (0, 0)


def claimed(db: RedisDB, times: int) -> Sequence[str | None]:
    leases = [db.queue.claim(["default"], worker_id=f"w{n}", lease_s=60) for n in range(times)]
    return [lease.run_id if lease else None for lease in leases]


def test_a_claim_passes_over_runs_whose_project_has_enough_running_and_they_keep_their_places(
    db: RedisDB, raw: redis.Redis
) -> None:
    limit(db, running_runs=1)
    for run_id in ("v1", "v2", "v3"):
        submit(db, run_id=run_id)
    submit(db, "speech", run_id="s1")
    assert claimed(db, 3) == ["v1", "s1", None]
    assert raw.lrange("queue:requests", 0, -1) == ["v3", "v2"]
    db.queue.finish(claim_again(db, "w0"), Status.DONE)
    assert db.queue.claim(["default"], worker_id="w9", lease_s=60).run_id == "v2"  # type: ignore[union-attr] # there is one


def claim_again(db: RedisDB, worker_id: str) -> Any:
    return db.queue.claim(["default"], worker_id=worker_id, lease_s=60)


@pytest.mark.parametrize(
    ("name", "most", "words"),
    [
        ("gpu_hours", 1.0, "GPU-hours a day"),
        ("energy_wh", 20.0, "Wh a day"),
        ("co2_g", 5.0, "CO2 a day"),
    ],
)
def test_what_was_used_today_is_added_up_and_refuses(db: RedisDB, name: str, most: float, words: str) -> None:
    db.quotas.put("project", "vision", QuotaLimits.model_validate({name: most}))
    submit(db, params={"gpus": 2})
    lease = claim(db)
    db.runs.record_epoch(
        lease, epoch(energy_kwh=0.02, energy_quality="measured", co2_g=5.0, ended_at=db.now())
    )
    used = db.quotas.get("project", "vision").used
    assert (used.gpu_hours, used.energy_wh, used.co2_g) == (1.0, 20.0, 5.0)
    with pytest.raises(TooMany, match=words) as refused:
        submit(db)
    assert 0 < (refused.value.retry_after_s or 0) <= 86_400
    submit(db, "speech")


def test_what_a_simulated_run_used_counts_in_no_quota(db: RedisDB) -> None:
    submit(db, params={"simulated": True})
    lease = claim(db)
    db.runs.record_epoch(
        lease, epoch(energy_kwh=0.02, energy_quality="simulated", co2_g=5.0, ended_at=db.now())
    )
    assert db.quotas.get("project", "vision").used.energy_wh == 0


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def test_a_quota_is_set_told_and_taken_away_over_http(api: FlaskClient, db: RedisDB) -> None:
    token = db.tokens.create(TokenRequest(name="ci", scope=Scope.SUBMIT))
    headers = {"Authorization": f"Bearer {token.secret}"}
    path = f"/api/quotas/tokens/{token.token_id}"
    assert api.put(path, json={"waiting_runs": 1}, headers=headers).status_code == 403
    assert api.put(path, json={"waiting_runs": 1}).status_code == 200
    assert api.put("/api/quotas/tokens/0000000000000000", json={}).status_code == 404
    assert api.put("/api/quotas/projects/vision", json={"waiting_runs": -1}).status_code == 422

    assert api.post("/train", json={"num_epochs": 1}, headers=headers).status_code == 201
    refused = api.post("/train", json={"num_epochs": 1}, headers=headers)
    assert refused.status_code == 429
    assert f"token {token.token_id}" in refused.get_json()["error"]["message"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert api.post("/train", json={"num_epochs": 1}).status_code == 201

    (told,) = api.get("/api/quotas").get_json()["quotas"]
    assert (told["owner"], told["used"]["waiting_runs"]) == ("token", 1)
    assert api.put(path, json={}).status_code == 200
    assert api.get("/api/quotas").get_json()["quotas"] == []


def line_of(api: FlaskClient, run_id: str) -> str:
    alone = api.get(f"/api/runs/{run_id}").get_json()["status_line"]
    listed = {run["run_id"]: run["status_line"] for run in api.get("/api/runs").get_json()["results"]}
    assert listed[run_id] == alone
    return str(alone)


def test_a_run_that_a_quota_holds_says_which_and_until_when(api: FlaskClient, db: RedisDB) -> None:
    limit(db, running_runs=1)
    submit(db, run_id="v1", params={"num_epochs": 3})
    submit(db, run_id="v2")
    submit(db, "speech", run_id="s1")
    assert "quota" not in line_of(api, "v2")
    lease = claim(db)
    assert "held by the quota running_runs of the project vision" in line_of(api, "v2")
    assert "at about" not in line_of(api, "v2")
    assert "quota" not in line_of(api, "s1")

    db.runs.record_epoch(lease, epoch(duration_s=86_400.0, ended_at=db.now()))
    in_two_days = db.now() + timedelta(days=2)
    assert f"at about {in_two_days:%Y-%m-%d}" in line_of(api, "v2")

    db.queue.finish(lease, Status.DONE)
    assert "quota" not in line_of(api, "v2")
    limit(db, running_runs=0)
    assert "lets none run" in line_of(api, "v2")


def test_a_run_that_the_quota_of_its_token_holds_says_so(api: FlaskClient, db: RedisDB) -> None:
    db.quotas.put("token", "0123456789abcdef", QuotaLimits(running_runs=1))
    for run_id in ("a", "b"):
        submit(db, run_id=run_id, token_id="0123456789abcdef")  # noqa: S106 - of a test
    submit(db, run_id="c")
    claim(db)
    assert "held by the quota running_runs of the token 0123456789abcdef" in line_of(api, "b")
    assert "quota" not in line_of(api, "c")
