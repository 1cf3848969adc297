"""What an import keeps can be read, and counted on, ever after; of all else it keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from archive.parcels import pack
from redis_db import RedisDB
from schema import RunOptions, Status
from schema.archive import Belonging, Bundle
from schema.sweeps import MAX_SWEEPS
from tests.integration import test_export, test_export_of_everything
from tests.integration.test_archive import DONE, MINE
from tests.integration.test_export import export, send
from tests.integration.test_export_of_everything import add_sweeps, others
from tests.records import claim, epoch

api = test_export.api
everything = test_export_of_everything.api
RECORD = {"status": "done", "time_added": "1", "hyper_params": "{}"}
OUTSIDE = (
    '{"created_at":1,"kind":"model","step":null,"metrics":{},"size_bytes":1,"sha256":"0","content_type":"a/b",'
    '"file":"%s"}'
)


def take(api: FlaskClient, found: Sequence[Belonging] = (), runs: Sequence[Bundle] = ()) -> Any:
    return send(api, b"".join(pack(runs, [("all", list(found))], layout=1, version="1")))


@pytest.mark.parametrize("last", [[1], {"a": 1}, None, 1.5, True, "zz", "1", -5, 0, 10**9, 10**30])
def test_the_last_version_of_a_model_is_a_number(api: FlaskClient, raw: redis.Redis, last: object) -> None:
    raw.flushall()
    reply = take(api, [Belonging("models", "m", {"last": last, "versions": []})])
    assert (reply.status_code, raw.exists("models:facts")) == (422, 0), reply.text


@pytest.mark.parametrize(
    "text", ["1_000", " 1", "1 ", "١", "0x10", "nan", "inf", "1e999", "", "one", "-1", "1.5", "9" * 500]
)
def test_a_total_is_a_number_to_redis_too(api: FlaskClient, raw: redis.Redis, text: str) -> None:
    raw.flushall()
    reply = take(api, [Belonging("totals", "project:x", {"epochs": text})])
    assert (reply.status_code, raw.exists("totals:project:x")) == (422, 0), reply.text


def test_after_an_import_of_totals_epochs_are_recorded(
    api: FlaskClient, raw: redis.Redis, db: RedisDB
) -> None:
    raw.flushall()
    fields = {"epochs": "1000", "energy_kwh": "1e-05", "duration_s": "1.5e+20", "co2_g": ".5"}
    assert take(api, [Belonging("totals", "project:x", fields)]).get_json()["others"] == {"totals": 1}
    db.queue.submit({"num_epochs": 1}, RunOptions(project="x"))
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1))
    db.queue.finish(lease, Status.DONE)
    assert db.accounts.list_projects()["x"][0].epochs == 1001


@pytest.mark.parametrize(
    "saved", ['{"runs":null}', '{"runs":true}', '{"runs":"1"}', '{"saved_g":NaN}', "[]", "1"]
)
def test_what_was_saved_in_a_week_is_numbers(api: FlaskClient, raw: redis.Redis, saved: str) -> None:
    raw.flushall()
    for week in ("2026-W09", "soon"):
        assert take(api, [Belonging("totals", "saved:x", {week: saved})]).status_code == 422
    assert take(api, [Belonging("totals", "saved:x", {"soon": '{"runs":1}'})]).status_code == 422
    assert not raw.exists("carbon:saved:x")


@pytest.mark.parametrize(
    "spoil",
    [
        {"is_production": 1},
        {"used_by": "a"},
        {"source": "saved:another"},
        {"version": True},
        {"registered_at": "1_0"},
    ],
)
def test_a_version_that_scripts_read_otherwise_is_refused(
    everything: FlaskClient, raw: redis.Redis, spoil: dict[str, object]
) -> None:
    (good,) = (own for own in others(export(everything)) if own.name == "good")
    raw.flushall()
    spoilt = [{**version, **spoil} for version in good.content["versions"]]
    for versions in (spoilt, good.content["versions"] * 2):
        reply = take(everything, [replace(good, content={"last": 5, "versions": versions})])
        assert (reply.status_code, raw.exists("models:facts")) == (422, 0), reply.text


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        ({"attempt": "1_0"}, {}),
        ({"energy_kwh": " 1"}, {}),
        ({"name": "\ud800"}, {}),
        ({"hyper_params": '{"a":"\\ud800"}'}, {}),
        ({}, {"attempts": {"1": '{"end_reason":"\\ud800"}'}}),
        ({}, {"notes": [["0-0", {"text": "x"}]]}),
        ({}, {"notes": [["2-0", {"text": "x"}], ["1-0", {"text": "x"}]]}),
        ({}, {"notes": [["1-0", {"words": "x"}]]}),
        ({}, {"log": [["1-0", {f"f{number}": "" for number in range(5_000)}]]}),
        ({}, {"log": [["1-0", {"time": "never", "text": "x"}]]}),
        ({}, {"log": []}),
        ({}, {"power": ["1", "[0,7]"]}),
        ({}, {"usage": ["{}", "x"]}),
        ({}, {"sources": {"s": "many"}}),
        ({}, {"extras": {"x": "[]"}}),
        ({}, {"superseded": {"1:x": "[]"}}),
        ({}, {"histograms": {"h": "[1,1]"}}),
        ({}, {"histograms": {"h": "[1,1]"}, "histogram:h": ["packed"]}),
        ({}, {"artifacts": {"a:1": "{}"}, "artifact_order": [["a:1", "1"]]}),
        (
            {},
            {
                "artifacts": {"a:1": OUTSIDE % f"{MINE}/others/a/{'0' * 32}"},
                "artifact_order": [["a:1", "1"]],
            },
        ),
        ({}, {"artifacts": {"a:1": OUTSIDE % "../../a/b"}, "artifact_order": [["a:1", "1"]]}),
        ({}, {"artifacts": {"a:1": OUTSIDE % "a/b"}, "artifact_order": [["a:1", "nan"]]}),
        ({}, {"artifacts": {"a:1": OUTSIDE % "a/b"}, "artifact_order": []}),
    ],
)
def test_a_run_of_which_a_part_cannot_be_read_is_refused(
    api: FlaskClient, raw: redis.Redis, record: dict[str, str], parts: dict[str, Any]
) -> None:
    raw.flushall()
    reply = take(api, runs=[Bundle(DONE, {**RECORD, **record}, parts, {})])
    assert (reply.status_code, raw.exists("runs:archived")) == (422, 0), reply.text


def test_a_view_with_any_name_is_in_the_export(everything: FlaskClient) -> None:
    name = "token: my view"
    assert everything.post("/api/views", json={"name": name, "q": "tag:night"}).status_code == 201
    found = others(export(everything))
    assert name in [own.name for own in found if own.kind == "views"]
    assert [own.name for own in found if own.kind == "quotas"] == ["project:vision"]


def test_where_there_would_be_too_many_of_a_kind_nothing_of_any_is_kept(
    everything: FlaskClient, raw: redis.Redis, db: RedisDB
) -> None:
    add_sweeps(db)
    found = others(export(everything))
    sweeps = [own for own in found if own.kind == "sweeps"]
    raw.flushall()
    raw.zadd("sweeps:order", {f"{number:032x}": number for number in range(MAX_SWEEPS - 1)})
    assert len(sweeps) == 2
    before = raw.zcard("sweeps:order")
    refused = take(everything, found)
    assert (refused.status_code, raw.zcard("sweeps:order")) == (409, before)
    assert "more sweeps than are kept" in refused.get_json()["error"]["message"]
    assert not raw.exists("views:saved", "alerts:rules", "totals:all")
    raw.zrem("sweeps:order", f"{1:032x}")
    assert take(everything, found).get_json()["others"]["sweeps"] == 2


def test_too_many_versions_of_models_keep_nothing_either(everything: FlaskClient, raw: redis.Redis) -> None:
    content = export(everything)
    raw.flushall()
    raw.zadd("models:order", {f"m:{number}": time.time() for number in range(1, 10_000)})
    refused = send(everything, content)
    assert (refused.status_code, raw.exists("models:facts", "views:saved")) == (409, 0)
    raw.zrem("models:order", "m:1")
    assert send(everything, content).get_json()["others"]["models"] == 2


def test_a_model_whose_runs_are_not_here_is_not_counted_nor_its_name_taken(
    everything: FlaskClient, raw: redis.Redis
) -> None:
    models = [own for own in others(export(everything)) if own.kind == "models"]
    raw.flushall()
    assert take(everything, models).get_json()["others"] == {"models": 0}
    assert not raw.exists("models:facts")
