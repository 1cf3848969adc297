"""What a store has besides runs as a part of its export: taken in once, whole, and with its ids."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from pydantic import SecretStr

from api.state import state_of
from archive.parcels import pack, unpack
from backend import create_app
from redis_db import NewModel, RedisDB
from schema import ModelArtifact
from schema.archive import Belonging
from schema.quotas import QuotaLimits
from schema.sweeps import SweepState, SweepSummary
from settings import Settings
from sweeps.study import Study
from tests.integration.test_archive import DONE, ENDED, MINE
from tests.integration.test_export import export, send
from tests.stored_commands import STORES, load
from tests.sweep_parts import request

READ = (
    *("/api/views", "/api/alerts/rules", "/api/projects/default/retention", "/api/quotas", "/api/sweeps"),
    *("/api/models?name=good", f"/api/models/{MINE}", "/api/totals"),
)


@pytest.fixture
def api(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Iterator[FlaskClient]:
    """A store that has something of everything."""
    load(raw, "layout-1.jsonl")
    channels = SecretStr("ops=json://someone:hidden@127.0.0.1:9/hook")
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, alert_channels=channels), db)
    api = app.test_client()
    rule = {"name": "Night", "condition": {"kind": "run_failed"}, "channels": ["ops"]}
    for path, body in (("/api/views", {"name": "Best ü", "q": "tag:night"}), ("/api/alerts/rules", rule)):
        assert api.post(path, json=body).status_code == 201
    for place, limits in (
        ("/api/projects/default/retention", {"keep_best": 2, "is_active": True}),
        ("/api/quotas/projects/vision", {"waiting_runs": 7}),
    ):
        assert api.put(place, json=limits).status_code == 200, place
    db.quotas.put("token", "abcdef012345", QuotaLimits(waiting_runs=1))
    add_sweeps(db)
    for step in (1, 2):
        file = ModelArtifact(name="weights", version=1, size_bytes=10, sha256="0" * 64)
        db.models.record("good" if step == 1 else "other", NewModel(MINE, "default", file, {"accuracy": 0.1}))
    db.models.set_stage("good", 1, "production", "it is the best")
    raw.sadd("models:used:good:1", DONE)
    raw.sadd(f"run:{DONE}:inputs", "good:1")
    raw.hset("carbon:saved:default", "2026-W09", '{"runs":1,"energy_kwh":0.5,"co2_g":1.25}')
    yield api
    state_of(app).archive.close()


def add_sweeps(db: RedisDB) -> None:
    for is_ended in (True, False):
        sweep_id = db.sweeps.create(request()).sweep_id
        study = Study(db.sweeps, db.sweeps.get(sweep_id))
        for _ in range(2):
            assert study.ask() is not None
        if is_ended:
            db.sweeps.note(sweep_id, SweepSummary(energy_kwh=0.125), end=SweepState.DONE, reason="all done")


def shown(api: FlaskClient) -> list[Any]:
    found: list[Any] = [api.get(path).get_json() for path in READ]
    # A rule begins when it is taken in: see test_imported_rules.
    for rule in found[READ.index("/api/alerts/rules")]["rules"]:
        del rule["active_since"]
    return found


def others(content: bytes) -> list[Belonging]:
    return [found for found in unpack(io.BytesIO(content), layout=1) if isinstance(found, Belonging)]


def test_everything_is_taken_in_by_an_empty_store_once(
    api: FlaskClient, raw: redis.Redis, db: RedisDB
) -> None:
    before, content = shown(api), export(api)
    (ended,) = (sweep for sweep in db.sweeps.list() if sweep.state.is_final)
    journal = list(db.sweeps.read_journal(ended.sweep_id, 0))
    before[READ.index("/api/sweeps")]["sweeps"] = [ended.model_dump(mode="json")]
    before[READ.index("/api/quotas")] = {
        "quotas": [
            quota for quota in before[READ.index("/api/quotas")]["quotas"] if quota["owner"] == "project"
        ]
    }
    assert b"hidden" not in content
    known = send(api, content).get_json()
    assert (known["added"], set(known["others"].values())) == (0, {0})
    raw.flushall()
    first = send(api, content).get_json()
    assert (first["added"], first["missing_channels"]) == (4, [])
    kinds = {"views": 1, "rules": 1, "retention": 1, "quotas": 1, "sweeps": 1, "models": 2}
    assert {kind: count for kind, count in first["others"].items() if kind != "totals"} == kinds
    assert first["others"]["totals"] >= 4
    assert shown(api) == before
    assert list(db.sweeps.read_journal(ended.sweep_id, 0)) == journal
    assert db.sweeps.list_active() == []
    assert {node.id for node in db.models.trace(DONE).nodes} == {DONE, MINE, "good:1"}
    assert raw.hgetall("carbon:saved:default") == {"2026-W09": '{"runs":1,"energy_kwh":0.5,"co2_g":1.25}'}
    again = send(api, content).get_json()
    assert (again["added"], again["known"], set(again["others"].values())) == (0, 4, {0})
    assert shown(api) == before
    unchanged = ("views", "retention", "quotas", "sweeps", "models")
    assert [own for own in others(export(api)) if own.kind in unchanged] == [
        own for own in others(content) if own.kind in unchanged
    ]


def test_what_is_known_by_its_name_stays_as_it_is(api: FlaskClient, raw: redis.Redis) -> None:
    content = export(api)
    body = {"name": "Best ü", "q": "tag:mine", "replace": True}
    assert api.post("/api/views", json=body).status_code in (200, 201)
    raw.hdel("models:facts", "last:other")
    before, totals = api.get("/api/views").get_json(), api.get("/api/totals").get_json()
    told = send(api, content).get_json()["others"]
    assert (told["views"], told["models"], told["totals"]) == (0, 1, 0)
    assert (api.get("/api/views").get_json(), api.get("/api/totals").get_json()) == (before, totals)


def change(kind: str, how: Callable[[Belonging], Belonging]) -> Callable[[list[Belonging]], list[Belonging]]:
    return lambda found: [how(own) if own.kind == kind else own for own in found]


def content_of(**changes: Any) -> Callable[[Belonging], Belonging]:
    return lambda own: replace(own, content={**own.content, **changes})


@pytest.mark.parametrize(
    "spoil",
    [
        change("views", lambda own: replace(own, name="another")),
        change("views", content_of(sort="taste")),
        change("rules", content_of(condition={"kind": "wish"})),
        change("rules", content_of(rule_id="../x")),
        change("retention", content_of(keep_best=-1)),
        change("quotas", lambda own: replace(own, name="token:abcdef012345")),
        change("sweeps", lambda own: replace(own, content={**own.content, "journal": ["x"]})),
        change("sweeps", lambda own: replace(own, content={"fields": {"state": "running"}, "journal": []})),
        change("sweeps", content_of(journal=[{"op_code": 0}])),
        change("sweeps", lambda own: replace(own, name="x:y")),
        change("models", content_of(last=0)),
        change("models", content_of(versions=[{}])),
        change("models", lambda own: replace(own, content=None)),
        change("totals", content_of(epochs="nan")),
        change("totals", lambda own: replace(own, name="year:2026")),
        lambda found: [*found, Belonging("wishes", "a", {})],
        lambda found: [*found, Belonging("views", "a" * 65, {})],
    ],
)
def test_of_what_is_malformed_nothing_is_kept(
    api: FlaskClient, raw: redis.Redis, spoil: Callable[[list[Belonging]], list[Belonging]]
) -> None:
    spoilt = spoil(others(export(api)))
    raw.flushall()
    reply = send(api, b"".join(pack([], [("all", spoilt)], layout=1, version="1")))
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (422, "invalid_input")
    assert [key for key in raw.scan_iter() if not key.startswith(("access:", "counters"))] == []


def test_a_file_that_is_cut_off_keeps_nothing_but_runs(api: FlaskClient, raw: redis.Redis) -> None:
    content = export(api)
    raw.flushall()
    reply = send(api, content[: content.index(b"end.json")])
    assert reply.status_code == 422
    assert raw.hlen("runs:archived") == len(ENDED)
    assert not raw.exists("views:saved", "alerts:rules", "quotas:limits", "models:records", "totals:all")


def test_a_file_with_too_many_of_a_kind_is_refused(api: FlaskClient, raw: redis.Redis) -> None:
    content = export(api)
    (view,) = (own for own in others(content) if own.kind == "views")
    raw.flushall()
    many = [replace(view, name=f"v{n}", content={**view.content, "name": f"v{n}"}) for n in range(201)]
    reply = send(api, b"".join(pack([], [("views", many)], layout=1, version="1")))
    assert (reply.status_code, raw.exists("views:saved")) == (409, 0)


def test_a_file_of_the_first_format_is_taken_in_and_one_of_a_newer_is_not(
    api: FlaskClient, raw: redis.Redis
) -> None:
    first = (STORES / "export-1.tar").read_bytes()
    raw.flushall()
    assert send(api, first).get_json()["added"] == len(ENDED)
    assert api.get(f"/api/runs/{DONE}/log").get_json()["lines"]
    assert api.post(f"/api/runs/{MINE}/restore", json={}).get_json()["archived"] is False
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        head = tar.extractfile("wattle.json")
        assert head is not None
        assert json.loads(head.read())["format"] == 1
    newer = first.replace(b'"format":1', b'"format":3')
    refused = send(api, newer)
    assert refused.status_code == 422
    assert "format 3" in refused.get_json()["error"]["message"]


def test_channels_that_rules_name_are_missing_where_nobody_set_them(
    api: FlaskClient, raw: redis.Redis, db: RedisDB, tmp_path: Path
) -> None:
    content = export(api)
    raw.flushall()
    other = create_app(Settings(_env_file=None, data_dir=tmp_path / "other"), db)
    assert send(other.test_client(), content).get_json()["missing_channels"] == ["ops"]
    state_of(other).archive.close()
