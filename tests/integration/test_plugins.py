"""The plug-ins of docs/plugins.md are installed and used, and a broken one stops nobody."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend import create_app
from carbon_aware_trainer import MeterUnavailable, UnknownZone, open_provider
from carbon_aware_trainer.energy import check_meters, choose_meters
from carbon_aware_trainer.errors import AnswerRefused, IntensityUnavailable
from errors import InvalidInput
from exporters import ExportRefused, open_exporter
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.http_server import Reply, serving
from tests.installed import install, make_package
from tests.integration.test_exporters import end

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
ODD = """
def open_odd(setup):
    return 1 / 0

class Late:
    basis = "average lifecycle"

    def __init__(self, setup):
        pass

    def latest(self, zone):
        raise KeyError(zone)
"""


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
    groups = ("trainers", "providers", "meters", "exporters")
    text = 'raise OSError("a library of the vendor is missing")\n'
    make_package(broken, *groups, text=text, torn="MADE")
    install(broken, tmp_path, monkeypatch)
    api = create_app(Settings(data_dir=tmp_path), db).test_client()
    told = [plugin for plugin in api.get("/healthz").get_json()["plugins"] if plugin["name"] == "torn"]
    assert [plugin["group"] for plugin in told] == [f"wattle.{group}" for group in groups]
    assert all("a library of the vendor is missing" in plugin["detail"] for plugin in told)
    checks = api.post("/api/doctor", json={}).get_json()["checks"]
    failed = {check["name"] for check in checks if check["state"] == "failed"}
    assert {f"plug-in wattle.{group}: torn" for group in groups} <= failed


def test_the_example_provider_is_asked_and_its_failures_are_answers_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(EXAMPLES / "campus", tmp_path, monkeypatch)
    now = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
    hour = now.replace(minute=0)
    hours = [
        {"at": (hour + timedelta(hours=n)).isoformat(), "g_per_kwh": 100 + 10 * n} for n in range(-3, 24)
    ]
    with serving() as site:
        site.answer = lambda _path, _params: Reply({"hours": hours})
        provider = open_provider("campus", base_url=site.url, region="CAMPUS", now=lambda: now)
        assert (provider.name, provider.basis) == ("campus", "average lifecycle")
        assert provider.fetch_latest("CAMPUS").g_per_kwh == 100
        assert provider.fetch_forecast("CAMPUS").g_per_kwh[:3].tolist() == [100, 110, 120]
        with pytest.raises(UnknownZone):
            provider.check_zone("DE")
        site.answer = lambda _path, _params: Reply({"hours": 7})
        with pytest.raises(AnswerRefused):
            open_provider("campus", base_url=site.url, now=lambda: now).fetch_latest("CAMPUS")


def test_a_provider_that_raises_anything_is_explained_and_a_broken_one_lets_the_api_start(
    db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(tmp_path / "odd", "providers", text=ODD, odd="open_odd", late="Late")
    install(tmp_path / "odd", tmp_path, monkeypatch)
    with pytest.raises(IntensityUnavailable, match="odd does not open: ZeroDivisionError"):
        open_provider("odd")
    with pytest.raises(AnswerRefused, match="late failed: KeyError"):
        open_provider("late").fetch_latest("DE")
    api = create_app(Settings(data_dir=tmp_path, carbon_model="odd"), db).test_client()
    assert api.get("/api/runs").status_code == 200
    with pytest.raises(InvalidInput, match="'campos' is no carbon model"):
        create_app(Settings(data_dir=tmp_path, carbon_model="campos"), db)


def test_the_example_meter_counts_what_its_counter_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "energy1_input"
    counter.write_text("5000000")
    monkeypatch.setenv("WATTLE_BOARD_COUNTER", str(counter))
    install(EXAMPLES / "board", tmp_path, monkeypatch)
    check_meters("board", "cpu")
    (meter,) = choose_meters("board").meters
    assert meter.sources[0].quality == "measured"
    counter.write_text("7500000")
    assert meter.read().joules == {"cpu": 2.5}
    counter.unlink()
    assert "board failed: FileNotFoundError" in meter.read().lost["cpu"]
    counter.write_text("9000000")
    back = meter.read()
    assert "board failed" in back.lost["cpu"], "what was used meanwhile is of no span that is known"
    counter.write_text("9500000")
    assert meter.read().joules["cpu"] - back.joules["cpu"] == pytest.approx(0.5)
    with pytest.raises(MeterUnavailable, match=r"there are auto, .*board"):
        check_meters("bord", "cpu")


def test_a_broken_meter_leaves_the_best_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_BOARD_COUNTER", str(tmp_path / "nowhere"))
    install(EXAMPLES / "board", tmp_path, monkeypatch)
    check_meters("board", "cpu")
    chosen, best = choose_meters("board", powercap=tmp_path), choose_meters("auto", powercap=tmp_path)
    assert (chosen.meters, chosen.estimate) == (best.meters, best.estimate)
