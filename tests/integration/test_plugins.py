"""The plug-ins of docs/plugins.md are installed and used, and a broken one stops nobody."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from backend import create_app
from exporters import ExportRefused, open_exporter
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.installed import install
from tests.integration.test_exporters import end

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def test_the_example_exporter_keeps_every_run_once_and_no_simulated_one(
    db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(EXAMPLES / "table", tmp_path, monkeypatch)
    exporter = open_exporter("table", Settings(data_dir=tmp_path))
    for run_id in ("r1", "r2"):
        end(db, run_id, epochs=2)
    for run_id in ("r1", "r2", "r1"):
        exporter.export(db.runs.get(run_id), db.runs.list_epochs(run_id))
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [(row[0], row[2], row[3], row[5]) for row in rows] == [
        ("r1", "done", "2", "0.002"),
        ("r2", "done", "2", "0.002"),
    ]
    simulated = db.runs.get("r1").model_copy(update={"simulated": True, "status": Status.DONE})
    with pytest.raises(ExportRefused):
        exporter.export(simulated, ())


def test_a_broken_plug_in_of_any_group_is_named_and_stops_nobody(
    db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    groups = ("trainers", "providers", "meters", "exporters")
    points = "\n".join(
        f'[project.entry-points."wattle.{group}"]\ntorn = "wattle_torn:MADE"' for group in groups
    )
    named = '[project]\nname = "wattle-torn"\nversion = "1"\n'
    modules = '\n[tool.setuptools]\npy-modules = ["wattle_torn"]\n'
    (broken / "pyproject.toml").write_text(named + points + modules)
    (broken / "wattle_torn.py").write_text('raise OSError("a library of the vendor is missing")\n')
    install(broken, tmp_path, monkeypatch)
    api = create_app(Settings(data_dir=tmp_path), db).test_client()
    told = [plugin for plugin in api.get("/healthz").get_json()["plugins"] if plugin["name"] == "torn"]
    assert [plugin["group"] for plugin in told] == [f"wattle.{group}" for group in groups]
    assert all("a library of the vendor is missing" in plugin["detail"] for plugin in told)
    checks = api.post("/api/doctor", json={}).get_json()["checks"]
    failed = {check["name"] for check in checks if check["state"] == "failed"}
    assert {f"plug-in wattle.{group}: torn" for group in groups} <= failed
