"""The leaderboard over a real store: what it knows of finished runs, whoever changed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from flask.testing import FlaskClient

from backend import create_app
from leaderboard.board import Board
from leaderboard.writer import PREVIOUS, ResultsWriter
from redis_db import RedisDB
from schema import ExperimentRequest, Lease, MetricPoints, PointsRequest, RunOptions, Status
from schema.leaderboard import StatedResult
from settings import Settings
from tests.records import claim, epoch
from tests.test_house import ROOT

Start = Callable[..., ResultsWriter]
HEADER = "run_id,network,dataset,accuracy,energy_kwh,co2_g,training_time_sec,accuracy_per_kwh,simulated\n"


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def train(db: RedisDB, run_id: str, *, accuracy: float = 0.9, **hyper_params: Any) -> Lease:
    """Train a run of one epoch, 2 Wh and 1 g, up to before its end."""
    known = {"num_epochs": 1, "network": "lenet5", "dataset": "digits", **hyper_params}
    db.queue.submit(known, RunOptions(queue=run_id), run_id=run_id)
    lease = claim(db, worker_id=f"w-{run_id}", queue=run_id)
    cost = {"energy_kwh": 0.002, "energy_quality": "measured", "co2_g": 1.0}
    db.runs.record_epoch(lease, epoch(1, test_accuracy=accuracy, **cost))
    return lease


def finish(db: RedisDB, run_id: str, **changes: Any) -> None:
    db.queue.finish(train(db, run_id, **changes), Status.DONE)


def finish_script(db: RedisDB, run_id: str, accuracy: float) -> None:
    db.external.begin(ExperimentRequest(name="mine", params={"model": "vit"}), run_id=run_id)
    report(db, run_id, 1, accuracy)
    db.external.end(run_id, Status.DONE)


def report(db: RedisDB, run_id: str, number: int, accuracy: float) -> None:
    points = {"accuracy": MetricPoints(steps=[number], values=[accuracy], times=[1.0])}
    batch = PointsRequest(session="s", seq=number, points=points)
    db.metrics.record(run_id, batch, at=db.now())


def ids(board: Board) -> list[str]:
    return board.refresh().all_ids()


def ask(api: FlaskClient, **query: Any) -> dict[str, Any]:
    reply = api.get("/api/leaderboard", query_string=query)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.get_json()
    return found


def test_a_run_is_ranked_once_it_is_done(db: RedisDB, api: FlaskClient) -> None:
    lease = train(db, "a", seed=7)
    assert ask(api)["total"] == 0
    db.runs.describe(lease, {"device": "cuda:1", "gpu_name": "NVIDIA H200", "parameters": 61706})
    db.queue.finish(lease, Status.DONE)
    (row,) = ask(api)["rows"]
    expected = {
        "rank": 1,
        "run_id": "a",
        "network": "lenet5",
        "dataset": "digits",
        "device": "NVIDIA H200",
        "seed": 7,
        "accuracy": 0.9,
        "energy_kwh": 0.002,
        "energy_quality": "measured",
        "co2_g": 1.0,
        "accuracy_per_kwh": 450.0,
        "parameters": 61706,
        "simulated": False,
        "fronts": ["co2_g", "energy_kwh", "duration_s", "parameters"],
    }
    assert expected.items() <= row.items()


def test_runs_that_failed_were_cancelled_or_reached_nothing_are_not_ranked(db: RedisDB) -> None:
    db.queue.finish(train(db, "f"), Status.FAILED)
    db.queue.finish(train(db, "c"), Status.CANCELLED)
    db.external.begin(ExperimentRequest(name="mine"), run_id="x")
    db.external.end("x", Status.DONE)
    assert ids(Board(db)) == []


def test_a_simulated_run_is_ranked_below_real_ones_where_it_is_asked_for(
    db: RedisDB, api: FlaskClient
) -> None:
    finish(db, "s", accuracy=0.91, simulated=True)
    assert ask(api)["include_simulated"] is True
    finish(db, "r")
    assert [row["run_id"] for row in ask(api)["rows"]] == ["r"]
    rows = ask(api, include_simulated="true", sort="accuracy")["rows"]
    assert [(row["run_id"], row["simulated"]) for row in rows] == [("r", False), ("s", True)]


@pytest.mark.parametrize("starts_first", [True, False], ids=["while it watches", "before it looks"])
def test_whatever_changes_a_finished_run_is_seen(db: RedisDB, starts_first: bool) -> None:
    board = Board(db)
    finish(db, "kept")
    finish(db, "deleted")
    finish(db, "tagged")
    finish_script(db, "reopened", 0.8)
    finish_script(db, "late", 0.8)
    if starts_first:
        assert ids(board) == ["deleted", "kept", "late", "reopened", "tagged"]
    db.controls.delete("deleted")
    db.external.reopen("reopened")
    db.external.set_tags("tagged", add=["paper"], remove=[])
    report(db, "late", 2, 0.85)
    table = board.refresh()
    assert table.all_ids() == ["kept", "late", "tagged"]
    every = np.arange(3)
    assert table.values("tags", every) == [(), (), ("paper",)]
    assert table.values("accuracy", every) == [0.9, 0.85, 0.9]


def test_a_run_that_a_script_goes_on_with_is_back_when_it_ends(db: RedisDB) -> None:
    finish_script(db, "a", 0.8)
    board = Board(db)
    assert ids(board) == ["a"]
    db.external.reopen("a")
    assert ids(board) == []
    db.external.end("a", Status.DONE)
    assert ids(board) == ["a"]


def test_co2_that_is_computed_again_is_seen(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "a")
    assert ask(api)["rows"][0]["co2_g"] == 1.0
    body = {"zone": "DE", "provider": "grid", "basis": "average lifecycle"}
    values = [{"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z", "g_per_kwh": 100}]
    reply = api.post("/api/runs/a/recompute", json=body | {"values": values})
    assert reply.status_code == 200, reply.text
    assert ask(api)["rows"][0]["co2_g"] == db.runs.get("a").co2_g != 1.0


def test_every_web_process_sees_the_same(db: RedisDB) -> None:
    first, second = Board(db), Board(db)
    finish(db, "a")
    assert ids(first) == ["a"]
    finish(db, "b")
    db.controls.delete("a")
    assert ids(first) == ids(second) == ["b"]


@pytest.mark.parametrize("lose", ["xtrim", "flushall", "delete"])
def test_all_is_read_anew_when_events_are_missing(db: RedisDB, raw: redis.Redis, lose: str) -> None:
    finish(db, "a")
    board = Board(db)
    assert ids(board) == ["a"]
    finish(db, "b")
    if lose == "flushall":
        raw.flushall()
        finish(db, "c")
    else:
        finish(db, "c")
        raw.xtrim("events", maxlen=1, approximate=False) if lose == "xtrim" else raw.delete("events")
    assert ids(board) == (["c"] if lose == "flushall" else ["a", "b", "c"])


def test_more_events_than_are_read_at_once_are_all_read(db: RedisDB, raw: redis.Redis) -> None:
    finish(db, "a")
    board = Board(db)
    assert ids(board) == ["a"]
    for number in range(4_500):
        raw.xadd("events", {"kind": "epoch", "run_id": f"r{number}"})
    finish(db, "b")
    known = board.refresh()
    assert known.all_ids() == ["a", "b"]
    # Not read anew: what is not the table of before shares its codes with it.
    finish(db, "c")
    assert all(board.refresh().codes[name] is codes for name, codes in known.codes.items())


def test_runs_that_change_while_all_are_read_are_seen(db: RedisDB, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(db, "a")
    finish(db, "b")
    listed = db.finished.list_ids

    def meanwhile() -> list[str]:
        found = list(listed())
        db.controls.delete("a")
        finish(db, "c")
        return found

    monkeypatch.setattr(db.finished, "list_ids", meanwhile)
    board = Board(db)
    board.refresh()
    assert ids(board) == ["b", "c"]


def test_a_search_ranks_what_it_finds_alone_page_by_page_and_in_files(db: RedisDB, api: FlaskClient) -> None:
    for number in range(5):
        finish(db, f"r{number}", accuracy=0.9 + number / 1000, seed=number, optimizer="adam")
    finish(db, "best", accuracy=0.99, optimizer="sgd")
    assert [row["run_id"] for row in ask(api, q="optimizer:sgd epochs>=1")["rows"]] == ["best"]
    asked = {"q": "optimizer:adam -seed:3", "sort": "accuracy", "limit": 2}
    first = ask(api, **asked)
    assert (first["total"], first["best_accuracy"], first["rows"][0]["fronts"]) == (
        4,
        0.904,
        ["co2_g", "energy_kwh", "duration_s"],
    )
    second = ask(api, **asked, cursor=first["cursor"])
    listed = [(row["rank"], row["run_id"]) for page in (first, second) for row in page["rows"]]
    assert listed == [(1, "r4"), (2, "r2"), (3, "r1"), (4, "r0")]
    exported = api.get("/api/leaderboard/export", query_string={"q": asked["q"], "format": "json"})
    assert {row["run_id"] for row in exported.get_json()} == {"r0", "r1", "r2", "r4"}
    assert ask(api, q="network:nothing")["rows"] == []
    refused = api.get("/api/leaderboard?q=optimiser:adam")
    assert (refused.status_code, refused.get_json()["error"]["details"][0]["field"]) == (422, "q")
    assert ask(api, q=" ")["total"] == ask(api)["total"]


def test_runs_of_one_configuration_are_one_group_whatever_their_seed(db: RedisDB, api: FlaskClient) -> None:
    for seed in (1, 2, 3):
        finish(db, f"a{seed}", seed=seed, accuracy=0.9 + seed / 1000)
    finish(db, "b", seed=1, learning_rate=0.1)
    rows = {row["run_id"]: row["seeds"] for row in ask(api)["rows"]}
    assert rows["b"] is None
    assert rows["a1"] == rows["a2"] == rows["a3"]
    assert rows["a1"]["accuracy"] == {"n": 3, "median": 0.902, "low": 0.901, "high": 0.903}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"sort": "colour"}, "sort"),
        ({"min_accuracy": "97"}, "min_accuracy"),
        ({"min_accuracy": "nan"}, "min_accuracy"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"per": "run"}, "per"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(
    api: FlaskClient, query: dict[str, str], field: str
) -> None:
    reply = api.get("/api/leaderboard", query_string=query)
    assert reply.status_code == 422
    assert field in reply.get_json()["error"]["details"][0]["field"]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_ranking_is_exported_as_a_file(db: RedisDB, api: FlaskClient, kind: str) -> None:
    finish(db, "a", network="=1+1")
    reply = api.get("/api/leaderboard/export", query_string={"format": kind})
    assert reply.status_code == 200
    assert reply.headers["Content-Disposition"] == f'attachment; filename="leaderboard.{kind}"'
    begins = {"csv": b"rank,run_id,", "json": b'[{"rank":1,', "parquet": b"PAR1"}
    assert reply.data[: len(begins[kind])] == begins[kind]
    assert (b",'=1+1," in reply.data) == (kind == "csv")


def test_a_file_of_results_is_imported_once(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "mine")
    text = HEADER + "mine,x,digits,0.1,,,1,,\nb,resnet9,digits,0.97,0.001,1.2,30,,False\ns,,,0.9,,,3,,True\n"
    for expected in ({"imported": 2, "known": 1}, {"imported": 0, "known": 3}):
        reply = api.post("/api/leaderboard/import", json={"csv": text})
        assert (reply.status_code, reply.get_json()) == (200, expected)
    rows = ask(api, include_simulated="true", sort="accuracy")["rows"]
    assert [(row["run_id"], row["accuracy"]) for row in rows] == [("b", 0.97)]
    assert db.runs.get("mine").best_accuracy == 0.9
    run = db.runs.get("b")
    assert (run.status, run.is_external, run.accuracy_per_kwh) == (Status.DONE, True, 970.0)
    assert db.runs.get("s").simulated


def test_a_file_that_is_checked_is_not_imported(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "mine")
    text = HEADER + "mine,x,digits,0.1,,,1,,\nb,=x,digits,0.97,0.001,1.2,30,,\nb,x,digits,0.5,,,30,,\n"
    reply = api.post("/api/leaderboard/import", json={"csv": text, "check": True}).get_json()
    assert (reply["imported"], reply["known"]) == (1, 2)
    assert [row["run_id"] for row in reply["rows"]] == ["mine", "b", "b"]
    assert ids(Board(db)) == ["mine"]


def test_imported_runs_are_in_the_lists_in_no_total_and_can_be_deleted(db: RedisDB, raw: redis.Redis) -> None:
    before = set(raw.keys("*")) | {"counters", "events"}
    for run_id, is_simulated in (("a", False), ("s", True)):
        stated = StatedResult(run_id=run_id, accuracy=0.5, duration_s=1.0, simulated=is_simulated)
        assert db.finished.add(stated)
    assert raw.keys("totals:*") == []
    for sort in ("time_added", "best_accuracy", "energy_kwh", "duration_s"):
        found = db.runs.list(sort, status=Status.DONE)  # type: ignore[arg-type] # as the API gives it
        assert {run.run_id for run in found.runs} == {"a", "s"}, sort
    for run_id in "as":
        db.controls.delete(run_id)
    assert set(raw.keys("*")) <= before


def test_nothing_of_a_file_with_a_mistake_is_imported(db: RedisDB, api: FlaskClient) -> None:
    text = HEADER + "a,x,digits,0.5,,,1,,\nb,x,digits,97,,,1,,\n"
    reply = api.post("/api/leaderboard/import", json={"csv": text})
    assert reply.status_code == 422
    assert reply.get_json()["error"]["details"][0]["field"] == "line 3, accuracy"
    assert ids(Board(db)) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def start(db: RedisDB, folder: Path) -> Iterator[Start]:
    """Start programs that write into the folder, each with a board of its own."""
    started: list[ResultsWriter] = []

    def begin(**options: Any) -> ResultsWriter:
        started.append(ResultsWriter(Board(db), folder, **options))
        return started[-1]

    yield begin
    for writer in started:
        writer.close()


def test_the_file_follows_the_finished_runs(db: RedisDB, folder: Path, start: Start) -> None:
    writer = start()
    writer.write()
    assert not folder.exists()
    finish(db, "a")
    writer.write()
    path = folder / "leaderboard.csv"
    assert path.read_text() == HEADER + "a,lenet5,digits,0.9,0.002,1.0,0.5,450.0,false\n"
    inode = path.stat().st_ino
    writer.write()
    assert path.stat().st_ino == inode, "written again without need"
    db.controls.delete("a")
    writer.write()
    assert path.read_text() == HEADER


def test_of_two_programs_with_one_folder_one_writes_until_it_ends(db: RedisDB, start: Start) -> None:
    finish(db, "a")
    first, second = start(), start()
    assert first.write()
    assert not second.write()
    first.close()
    assert second.write()


def test_a_file_with_other_runs_is_kept(db: RedisDB, folder: Path, start: Start) -> None:
    folder.mkdir()
    older = HEADER + "old,lenet5,digits,0.9,,,1,,False\n"
    (folder / "leaderboard.csv").write_text(older)
    writer = start()
    writer.write()
    assert (folder / "leaderboard.csv").read_text() == older, "an empty store is no reason to lose it"
    finish(db, "a")
    writer.write()
    assert (folder / PREVIOUS).read_text() == older
    assert "\na," in (folder / "leaderboard.csv").read_text()


def test_a_folder_that_cannot_be_written_ends_nothing(
    db: RedisDB, folder: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    finish(db, "a")
    folder.touch()
    now_s = 0.0
    writer = start(clock=lambda: now_s)
    for _ in range(2):
        writer.begin()
        writer.wait(30)
        now_s += 10
    assert len(caplog.records) == 1
    assert "not up to date" in caplog.text
    folder.unlink()
    writer.begin()
    writer.wait(30)
    assert (folder / "leaderboard.csv").exists()


def test_the_events_that_change_finished_runs_are_published(db: RedisDB) -> None:
    """What the board listens to is what the scripts say."""
    from store.finished import CHANGING

    scripts = "".join(path.read_text() for path in (ROOT / "store" / "scripts").glob("*.lua"))
    named = {kind for kind in CHANGING if f'publish("{kind}"' in scripts}
    assert CHANGING - named == {"done"}
