"""wattle doctor against a real API, and what it says of what is broken."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend import create_app
from cli.checks import check_machine, check_ports, check_provider
from cli.main import main
from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema.archive import ArchiveRound
from settings import Settings
from tests.http_server import Reply, serving
from tests.integration import test_views
from tests.ports import own_port
from tests.records import TORCH_WORKER

api_url = test_views.api_url
Checks = dict[tuple[str, str], dict[str, Any]]


def by_name(text: str) -> Checks:
    return {(check["name"], check["place"]): check for check in json.loads(text)["checks"]}


def examined(settings: Settings, db: RedisDB) -> Checks:
    reply = create_app(settings, db).test_client().post("/api/doctor", json={})
    assert reply.status_code == 200
    return by_name(reply.text)


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_everything_is_looked_at_and_what_is_wrong_says_how_to_mend_it(
    api_url: str, db: RedisDB, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_PORT", str(own_port()))
    monkeypatch.setenv("WATTLE_PAGE_PORT", str(own_port()))
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    # The server of the tests has no file: a restart would lose what was accepted.
    assert main(["doctor", "--json", "--api", api_url]) == 1
    found = by_name(capsys.readouterr().out)
    assert {
        ("API", "here"),
        ("page", "here"),
        ("clock", "here"),
        ("clock", "API"),
        ("GPU", "here"),
        ("RAPL", "here"),
    } <= set(found)
    assert {name for name, check in found.items() if check["state"] == "failed"} == {
        ("redis settings", "API")
    }
    assert found["redis settings", "API"]["remedy"] == "Set appendonly yes."
    assert found["redis", "API"]["found"].startswith("Redis ")
    assert found["workers", "API"]["found"] == "1 live: w"
    assert all(check["remedy"] for check in found.values() if check["state"] != "ok")
    assert main(["doctor", "--api", api_url]) == 1
    assert "→ Set appendonly yes." in capsys.readouterr().out


def test_an_api_that_is_away_is_a_failed_check_and_the_rest_is_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--json", "--api", f"http://127.0.0.1:{own_port()}"]) == 1
    found = by_name(capsys.readouterr().out)
    assert found["API", "here"]["state"] == "failed"
    assert ("python", "here") in found


def test_a_place_that_takes_no_files_is_told_and_no_probe_is_left(db: RedisDB, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(data_dir=tmp_path, checkpoint_url=str(tmp_path / "file"))
    found = examined(settings, db)
    assert found["checkpoints", "API"]["state"] == "failed"
    assert "WATTLE_CHECKPOINT_URL" in found["checkpoints", "API"]["remedy"]
    assert found["models", "API"]["state"] == found["artifacts", "API"]["state"] == "ok"
    assert not [path for path in tmp_path.rglob("*") if "doctor" in path.name]


def test_a_redis_that_is_away_is_told_and_the_places_are_looked_at(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with RedisDB(own_redis.url) as db:
        own_redis.stop()
        found = examined(Settings(data_dir=tmp_path), db)
    assert found["redis", "API"]["state"] == "failed"
    assert found["models", "API"]["state"] == "ok"


def test_a_port_that_something_else_has_is_told() -> None:
    with listening() as port:
        settings = Settings(port=port, page_port=own_port())
        api, page = check_ports(settings, has_api=False, has_page=False)
        assert (api.state, page.state) == ("failed", "ok")
        assert "WATTLE_PORT" in str(api.remedy)
        assert next(check_ports(settings, has_api=True, has_page=False)).state == "ok"


def test_a_key_is_missed_at_once_and_refused_by_who_is_asked_without_being_shown() -> None:
    assert check_provider(Settings(carbon_model="watttime"), is_online=False).state == "failed"
    key = "a-key-that-nobody-takes"
    with serving() as site:
        site.answer = lambda _path, _params: Reply({"error": "no"}, status=401)
        settings = Settings(
            carbon_model="electricitymaps", carbon_api_key=SecretStr(key), carbon_url=site.url, zone="DE"
        )
        assert check_provider(settings, is_online=False).state == "ok"
        assert site.asked == []
        refused = check_provider(settings, is_online=True)
    assert refused.state == "failed"
    assert key not in refused.model_dump_json()
    assert check_provider(Settings(), is_online=True).state == "ok"


def test_a_data_folder_that_is_a_file_is_no_place_for_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    found = {check.name: check for check in check_machine(Settings(data_dir=tmp_path / "data"))}
    assert found["checkpoints"].state == "failed"
    assert found["data folder"].state == "failed"


def test_the_archive_is_looked_at_and_says_how_to_mend_it(db: RedisDB, tmp_path: Path) -> None:
    found = examined(Settings(_env_file=None, data_dir=tmp_path), db)
    assert "version 0002" in found["archive database", "API"]["found"]
    names = ("archive database", "archive files", "archive rounds")
    assert [found[name, "API"]["state"] for name in names] == ["ok", "ok", "ok"]
    assert not [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]

    (tmp_path / "file").write_text("in the way")
    url = SecretStr("postgresql://someone:hidden@127.0.0.1:1/x")
    away = Settings(data_dir=tmp_path, database_url=url, archive_url=str(tmp_path / "file"))
    db.archiving.note_facts({"since": "1000.0"})
    found = examined(away, db)
    assert [found[name, "API"]["state"] for name in names] == ["failed", "failed", "warning"]
    assert "WATTLE_DATABASE_URL" in found["archive database", "API"]["remedy"]
    assert "WATTLE_ARCHIVE_URL" in found["archive files", "API"]["remedy"]
    assert "wattle archive now" in found["archive rounds", "API"]["remedy"]
    assert "hidden" not in json.dumps(list(found.values()))


@pytest.mark.parametrize("problem", [None, "the database is away"])
def test_the_last_round_of_an_older_version_counts(db: RedisDB, tmp_path: Path, problem: str | None) -> None:
    begun_at = datetime.now(UTC) - timedelta(hours=4)
    last = ArchiveRound(begun_at=begun_at, moved=3, left=0, problem=problem)
    since = repr((begun_at - timedelta(days=90)).timestamp())
    db.archiving.note_facts({"since": since, "last": last.model_dump_json()})
    settings = Settings(_env_file=None, data_dir=tmp_path)
    told = examined(settings, db)["archive rounds", "API"]
    assert told["state"] == ("failed" if problem else "ok")
    assert (problem or "3 runs moved") in told["found"]

    def age_s() -> float:
        return db.figures.read().archive.good_age_s or 0.0

    assert age_s() == pytest.approx((90 * 24 + 4 if problem else 4) * 3600, abs=60)
    failed = last.model_copy(update={"problem": "the disk is full", "begun_at": datetime.now(UTC)})
    facts = {"last": failed.model_dump_json(), "ended_at": repr(time.time())}
    db.archiving.note_round(facts, result="failed")
    assert age_s() == pytest.approx((90 * 24 + 4 if problem else 4) * 3600, abs=60), (
        "the good one still counts"
    )


def test_tables_of_a_newer_version_are_left_alone(db: RedisDB, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    examined(settings, db)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    found = examined(settings, db)["archive database", "API"]
    assert found["state"] == "failed"
    assert "made by a newer version of Wattle" in found["found"]
