"""All runs as one file, and such a file taken in by an empty store: nothing is lost or doubled."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
from flask.testing import FlaskClient
from typer.testing import CliRunner

from api.state import state_of
from archive.parcels import pack, unpack
from backend import create_app
from cli import archive_commands
from errors import InvalidInput
from redis_db import RedisDB
from schema.archive import Bundle
from settings import Settings
from tests.integration import test_views
from tests.integration.test_archive import DONE, ENDED, MINE
from tests.integration.test_archive_routes import archive_all
from tests.stored_commands import load

api_url = test_views.api_url


@pytest.fixture
def api(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Iterator[FlaskClient]:
    load(raw, "layout-1.jsonl")
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), db)
    yield app.test_client()
    state_of(app).archive.close()


def export(api: FlaskClient) -> bytes:
    reply = api.get("/api/export")
    assert reply.status_code == 200
    return bytes(reply.data)


def send(api: FlaskClient, content: bytes) -> Any:
    return api.post("/api/import", data=content, content_type="application/x-tar")


def shown(api: FlaskClient) -> Any:
    ended = [run for run in api.get("/api/runs").get_json()["results"] if run["iid"] in ENDED]
    points = api.get(f"/api/metrics/{MINE}?name=loss,test_accuracy").get_json()
    log = api.get(f"/api/runs/{DONE}/log").get_json()
    return [{**run, "archived": None} for run in ended], points, log


@pytest.mark.parametrize("is_archived", [False, True])
def test_an_export_is_taken_in_by_an_empty_store_once(
    api: FlaskClient, raw: redis.Redis, is_archived: bool
) -> None:
    before = shown(api)
    if is_archived:
        archive_all(api)
    content = export(api)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = tar.getnames()
    assert names[0] == "wattle.json"
    assert {name for name in names if name.startswith("points/")} == {f"points/{MINE}.parquet"}
    assert sum(name.startswith("runs/") for name in names) == len(ENDED)
    assert send(api, content).get_json()["known"] == 4
    raw.flushall()
    assert send(api, content).get_json()["added"] == 4
    assert send(api, content).get_json()["known"] == 4
    assert shown(api) == before
    assert api.post(f"/api/runs/{DONE}/restore", json={}).get_json()["archived"] is False
    assert shown(api) == before
    assert send(api, content).get_json()["known"] == 4


def test_an_import_that_is_cut_off_goes_on_where_it_ended(api: FlaskClient, raw: redis.Redis) -> None:
    before, content = shown(api), export(api)
    raw.flushall()
    for end in (len(content) * 2 // 3, content.index(b"runs/e0"), content.index(b"end.json")):
        assert send(api, content[:end]).status_code == 422
        raw.flushall()
    send(api, content[: content.index(b"runs/e0")])
    some = raw.hlen("runs:archived")
    assert 0 < some < len(ENDED)
    assert send(api, content).get_json() | {"others": {}} == {
        "added": len(ENDED) - some,
        "known": some,
        "others": {},
        "missing_channels": [],
    }
    assert shown(api) == before


def test_what_is_no_export_changes_nothing(api: FlaskClient, raw: redis.Redis) -> None:
    raw.flushall()
    record = {"status": "done", "time_added": "1", "hyper_params": "{}"}
    runs = (
        Bundle("no id", record, {}, {}),
        Bundle("a1", {**record, "status": "running"}, {}, {}),
        Bundle("a1", {**record, "time_added": "nan"}, {}, {}),
        Bundle("a1", {**record, "energy_kwh": "inf", "duration_s": "1"}, {}, {}),
        Bundle("a1", record, {"unheard": {"a": "b"}}, {}),
        Bundle("a1", record, {"epochs": {"one": "[]"}}, {}),
        Bundle("a1", record, {"log": [["1", {"text": "x"}]]}, {}),
        Bundle("a1", record, {"metrics": {"loss": '["2","1","1","1","1","1","0"]'}}, {"loss": bytes(24)}),
        Bundle("a1", record, {}, {"loss": bytes(24)}),
    )
    bodies = [b"", b"no tar", *(b"".join(pack([run], layout=1, version="1")) for run in runs)]
    bodies.append(b"".join(pack([], layout=2, version="9.1")))
    for body in bodies:
        reply = send(api, body)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (422, "invalid_input"), body
    assert "Upgrade it to 9.1" in reply.get_json()["error"]["message"]
    assert raw.keys("runs:*") == []
    empty = send(api, b"".join(pack([], layout=1, version="1"))).get_json()
    assert empty == {"added": 0, "known": 0, "others": {}, "missing_channels": []}


def test_the_commands_write_a_file_and_take_it_in(
    api_url: str,
    db: RedisDB,
    raw: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(raw, "layout-1.jsonl")
    monkeypatch.setenv("WATTLE_API_URL", api_url)
    program, runner = typer.Typer(), CliRunner()
    archive_commands.mount(program)
    file = tmp_path / "all.tar"
    assert runner.invoke(program, ["export", str(file)]).exit_code == 0
    assert [path.name for path in tmp_path.glob("all*")] == ["all.tar"]
    told = runner.invoke(program, ["export", str(file), "--json", "--api", api_url])
    assert json.loads(told.stdout) == {"file": str(file), "bytes": file.stat().st_size}
    raw.flushall()
    done = runner.invoke(program, ["import", str(file), "--json"])
    assert json.loads(done.stdout)["added"] == 4
    assert "4 archived runs" in runner.invoke(program, ["archive", "status"]).stdout
    none = runner.invoke(program, ["archive", "restore", "d0d0", "beef"])
    assert (none.exit_code, db.archiving.count()) == (1, 4)
    assert "No run begins with 'beef'" in none.stderr
    restored = runner.invoke(program, ["archive", "restore", "d0d0", "e0", DONE])
    assert restored.stdout.splitlines() == [f"{DONE} is restored, done.", f"{MINE} is restored, done."]
    assert db.archiving.count() == 2
    again = runner.invoke(program, ["archive", "now", "--older-than-days", "0", "--wait", "--json"])
    assert (again.exit_code, json.loads(again.stdout)["last"]["moved"], db.archiving.count()) == (0, 2, 4)
    wrong = runner.invoke(program, ["archive", "restore", "0" * 32])
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "No run begins with" in wrong.stderr


def test_a_run_is_the_same_after_it_was_packed() -> None:
    record = {"status": "done", "time_added": "1.5", "name": "ü\udc80"}
    run = Bundle("a1", record, {"log": [["1-0", {"text": "x"}]]}, {"a/b": bytes(48), "ü": bytes(24)})
    (read,) = unpack(io.BytesIO(b"".join(pack([run], layout=1, version="1"))), layout=1)
    assert read == run
    with pytest.raises(InvalidInput, match="no export"):
        list(unpack(io.BytesIO(b"x" * 2000), layout=1))
