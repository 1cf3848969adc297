"""Runs that end are handed to every exporter once, on a real store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from backend import create_app, start_housekeeping
from exporters.file import FileExporter
from exporters.protocol import Exporter, ExportRefused
from exporters.rounds import Follower
from redis_db import RedisDB
from schema import EpochResult, Run, RunOptions, Status
from settings import Settings
from tests.acted_run import HYPER_PARAMS
from tests.programs import wait_until
from tests.records import claim, epoch


class Collecting:
    """Keeps what it is given; ``failing`` says what to raise for a run."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, int]] = []
        self.failing: dict[str, Exception] = {}

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        if run.run_id in self.failing:
            raise self.failing[run.run_id]
        self.runs.append((run.run_id, len(epochs)))


def end(db: RedisDB, run_id: str, *, epochs: int = 1, failed: bool = False) -> None:
    db.queue.submit(HYPER_PARAMS, RunOptions(queue=run_id.lower()), run_id=run_id)
    lease = claim(db, queue=run_id.lower())
    for number in range(1, epochs + 1):
        db.runs.record_epoch(lease, epoch(number, energy_kwh=0.001, co2_g=0.4, energy_quality="measured"))
    db.queue.finish(lease, Status.FAILED if failed else Status.DONE)


def follow(db: RedisDB, exporter: Exporter, name: str = "own", data_dir: Path = Path("nowhere")) -> Follower:
    """One program that follows; its first round only notes where it begins."""

    def opener(_name: str, _settings: Settings) -> Exporter:
        return exporter

    return Follower(name, db, Settings(data_dir=data_dir), opener=opener)


def pass_on(raw: redis.Redis, name: str = "own") -> None:
    """Let another program follow, as after the lead of the first has run out, and its pause is over."""
    raw.delete(f"lock:export-{name}")
    raw.hdel(f"export:{name}", "next_at")


def test_every_run_that_ends_is_handed_over_once_also_by_the_next_program(
    db: RedisDB, raw: redis.Redis
) -> None:
    exporter = Collecting()
    end(db, "before")
    first = follow(db, exporter)
    first.run_round()
    end(db, "r1", epochs=2)
    end(db, "r2", failed=True)
    first.run_round()
    first.run_round()
    second = follow(db, exporter)
    end(db, "r3")
    second.run_round()
    assert exporter.runs == [("r1", 2), ("r2", 1)], "while another program leads, this one hands nothing over"
    pass_on(raw)
    second.run_round()
    assert exporter.runs == [("r1", 2), ("r2", 1), ("r3", 1)]
    state = db.exports.get("own")
    assert (state.exported, state.skipped, state.failures, state.error) == (3, 0, 0, None)


def test_a_failing_exporter_waits_tries_again_and_holds_up_nobody_else(db: RedisDB, raw: redis.Redis) -> None:
    failing, well = Collecting(), Collecting()
    failing.failing = {"r1": ConnectionError("the server is away"), "r2": ExportRefused("not one of ours")}
    one, other = follow(db, failing), follow(db, well, "other")
    one.run_round()
    other.run_round()
    for run_id in ("r1", "r2", "r3"):
        end(db, run_id)
    one.run_round()
    other.run_round()
    assert [run_id for run_id, _ in well.runs] == ["r1", "r2", "r3"]
    first = db.exports.get("own")
    assert (first.failures, first.run_id, first.error) == (1, "r1", "ConnectionError: the server is away")
    one.run_round()
    assert db.exports.get("own").failures == 1, "its pause is not over"
    pass_on(raw)
    one.run_round()
    second = db.exports.get("own")
    assert second.next_at is not None
    assert first.next_at is not None
    assert (second.next_at - first.next_at).total_seconds() >= 5, "the pause has doubled"
    del failing.failing["r1"]
    pass_on(raw)
    one.run_round()
    assert [run_id for run_id, _ in failing.runs] == ["r1", "r3"]
    state = db.exports.get("own")
    assert (state.exported, state.skipped, state.failures, state.error) == (2, 1, 0, None)


def test_a_run_that_is_tried_again_is_handed_over_at_its_last_end(db: RedisDB) -> None:
    exporter = Collecting()
    follower = follow(db, exporter)
    follower.run_round()
    end(db, "r1", failed=True)
    db.controls.retry("r1")
    follower.run_round()
    assert exporter.runs == []
    lease = claim(db, queue="r1")
    db.queue.finish(lease, Status.DONE)
    follower.run_round()
    assert exporter.runs == [("r1", 1)]
    end(db, "r2", failed=True)
    db.controls.retry("r2")
    db.queue.finish(claim(db, queue="r2"), Status.DONE)
    follower.run_round()
    assert exporter.runs == [("r1", 1), ("r2", 1)], "its first end is over when somebody looks"


def test_runs_whose_events_are_gone_are_handed_over_too(db: RedisDB, raw: redis.Redis) -> None:
    exporter = Collecting()
    follower = follow(db, exporter)
    end(db, "r0")
    follower.run_round()
    for run_id in ("r1", "r2", "r3"):
        end(db, run_id)
    raw.xtrim("events", maxlen=1, approximate=False)
    follower.run_round()
    end(db, "r4")
    follower.run_round()
    assert [run_id for run_id, _ in exporter.runs] == ["r1", "r2", "r3", "r4"]


def test_a_program_that_died_before_it_could_note_it_leaves_one_line_in_the_file(
    db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    exporter = FileExporter(Settings(data_dir=tmp_path))
    follower = follow(db, exporter, data_dir=tmp_path)
    follower.run_round()
    end(db, "r1")
    cursor = db.exports.get("own").cursor
    follower.run_round()
    raw.hset("export:own", "cursor", str(cursor))
    with exporter.path.open("a") as file:
        file.write('{"run": {"run_id": "ha')
    follower.run_round()
    end(db, "r2")
    follower.run_round()
    lines = [json.loads(line) for line in exporter.path.read_text().splitlines()]
    assert [line["run"]["run_id"] for line in lines] == ["r1", "r2"]
    assert lines[0]["epochs"][0]["energy_kwh"] == 0.001


def test_mlflow_has_every_run_once_with_its_figures(
    db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    from exporters.mlflow import MlflowExporter

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    exporter = MlflowExporter(Settings(data_dir=tmp_path))
    end(db, "r1", epochs=2)
    end(db, "r2", failed=True)
    for run_id in ("r1", "r2", "r1"):
        exporter.export(db.runs.get(run_id), db.runs.list_epochs(run_id))
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("default")
    found = {run.data.tags["wattle.run_id"]: run for run in client.search_runs([experiment.experiment_id])}
    assert {run_id: run.info.status for run_id, run in found.items()} == {"r1": "FINISHED", "r2": "FAILED"}
    assert found["r1"].data.metrics["energy_kwh"] == pytest.approx(0.002)
    assert found["r1"].data.params["network"] == HYPER_PARAMS["network"]
    history = client.get_metric_history(found["r1"].info.run_id, "epoch/co2_g")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.4), (2, 0.4)]


def test_the_backend_exports_by_itself_and_says_what_does_not_work(db: RedisDB, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, exporters=("file", "nothing"))
    app = create_app(settings, db)
    housekeeper = start_housekeeping(app)
    try:
        wait_until(lambda: db.exports.get("file").cursor is not None)
        end(db, "r1")
        wait_until(lambda: db.exports.get("file").exported == 1)
        wait_until(lambda: db.exports.get("nothing").error is not None)
    finally:
        housekeeper.stop()
    assert json.loads(FileExporter(settings).path.read_text())["run"]["run_id"] == "r1"
    api = app.test_client()
    told = {plugin["name"]: plugin for plugin in api.get("/healthz").get_json()["plugins"]}
    assert told["file"]["detail"] == "1 runs exported"
    assert told["nothing"]["state"] == "broken"
    checks = api.post("/api/doctor", json={}).get_json()["checks"]
    assert "plug-in wattle.exporters: nothing" in {
        check["name"] for check in checks if check["state"] == "failed"
    }


def test_runs_that_ended_within_one_millisecond_are_handed_over_when_their_events_are_gone(
    db: RedisDB, raw: redis.Redis
) -> None:
    exporter = Collecting()
    follower = follow(db, exporter)
    follower.run_round()
    for run_id in ("r1", "r2", "r3"):
        end(db, run_id)
    at_s = raw.hget("run:r3", "ended_at")
    for run_id in ("r1", "r2"):
        raw.hset(f"run:{run_id}", "ended_at", str(at_s))
    raw.xtrim("events", maxlen=1, approximate=False)
    follower.run_round()
    follower.run_round()
    assert exporter.runs == [("r1", 1), ("r2", 1), ("r3", 1)]
