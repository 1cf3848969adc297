"""The command wattle against a real API on a real store."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from cli.connecting import complete_run
from cli.main import main
from redis_db import RedisDB
from schema import RunOptions, Status
from schema.sweeps import SweepState, SweepSummary
from tests.acted_run import HYPER_PARAMS, ActedRun
from tests.integration import test_views
from tests.ports import own_port
from tests.records import claim, epoch

ROOT = Path(__file__).resolve().parents[2]
api_url = test_views.api_url


@pytest.fixture(autouse=True)
def _at(api_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_API_URL", api_url)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command printed; the errors stand in the message where it ends otherwise."""
    capsys.readouterr()
    ended = main(arguments)
    printed = capsys.readouterr()
    assert ended == code, printed.err
    return printed.out


def finish(db: RedisDB, run_id: str, status: Literal[Status.DONE, Status.FAILED] = Status.DONE) -> None:
    db.queue.submit(HYPER_PARAMS, RunOptions(queue=run_id), run_id=run_id)
    lease = claim(db, queue=run_id)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.001, co2_g=0.4, energy_quality="measured"))
    db.log.append(lease, ["first", "second \x1b[2J"])
    db.queue.finish(lease, status)


def test_a_run_is_queued_from_words_a_file_and_the_standard_input(
    db: RedisDB, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"hyper_params": {"num_epochs": 2}, "options": {"project": "paper"}}))
    monkeypatch.setattr("sys.stdin", io.StringIO('{"num_epochs": 3}'))
    for arguments, epochs in (
        (["-p", "num_epochs=1", "--trainer", "demo", "--tag", "a", "-o", "priority=high"], 1),
        ([f"@{body}"], 2),
        (["-", "-p", "network=lenet5"], 3),
    ):
        run = db.runs.get(answer(capsys, "submit", *arguments).strip())
        assert run.num_epochs == epochs
    listed = db.runs.list().runs
    assert {run.options.project for run in listed} == {"default", "paper"}
    assert {run.options.priority for run in listed if run.options.tags == ("a",)} == {"high"}
    assert {run.hyper_params["trainer"] for run in listed} == {"demo", "cnn"}


def test_a_run_is_found_by_the_beginning_of_its_id_that_it_alone_has(
    db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id in ("abc1", "abd2"):
        finish(db, run_id)
    assert json.loads(answer(capsys, "status", "abc", "--json"))["run_id"] == "abc1"
    assert main(["status", "ab"]) == 1
    assert "abc1, abd2. Give more characters" in capsys.readouterr().err
    assert main(["status", "x"]) == 1
    assert "'wattle status' lists them" in capsys.readouterr().err
    assert complete_run("abd") == ["abd2"]


def test_what_programs_read_is_what_the_api_answers(db: RedisDB, capsys: pytest.CaptureFixture[str]) -> None:
    finish(db, "r1")
    listed = json.loads(answer(capsys, "status", "--json"))
    assert (listed["total"], listed["results"][0]["iid"]) == (1, "r1")
    board = json.loads(answer(capsys, "leaderboard", "--json"))
    assert [row["run_id"] for row in board["rows"]] == ["r1"]
    assert answer(capsys, "leaderboard", "--csv").startswith("rank,run_id,")
    assert json.loads(answer(capsys, "totals", "--json"))["totals"][-1]["real"]["energy_kwh"] == 0.001
    found = json.loads(answer(capsys, "recommend", "--json"))
    assert found["answer"]["candidate"]["run_id"] == "r1"
    params = json.loads(answer(capsys, "recommend", "--params"))
    assert params["network"] == HYPER_PARAMS["network"]
    sides = answer(capsys, "compare", "r1", "r1", "--json").splitlines()
    assert [json.loads(line)["iid"] for line in sides] == ["r1", "r1"]


def test_an_empty_ranking_says_what_to_change(db: RedisDB, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Queue one with 'wattle submit'" in answer(capsys, "leaderboard")
    finish(db, "r1")
    assert "Leave out the search" in answer(capsys, "leaderboard", "-q", "network:nobody_has_it")


def test_tables_fit_the_terminal_and_pass_no_escape_sequence_on(
    db: RedisDB, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(db, "r1")
    db.queue.submit({**HYPER_PARAMS, "network": "x" * 300}, RunOptions(tags=("\x1b[2J",)), run_id="r2")
    monkeypatch.setenv("COLUMNS", "60")
    for arguments in (
        ["status"],
        ["status", "r2"],
        ["leaderboard"],
        ["compare", "r1", "r2"],
        ["logs", "r1"],
        ["totals"],
    ):
        printed = answer(capsys, *arguments)
        assert "\x1b" not in printed
        assert max(map(len, printed.splitlines()[1:])) <= 60, arguments


def test_runs_are_steered_and_one_that_refuses_does_not_stop_the_others(
    db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(db, "r1")
    db.queue.submit(HYPER_PARAMS, RunOptions(), run_id="r2")
    answer(capsys, "pause", "r1", "r2", code=1)
    assert db.runs.get("r2").status is Status.PAUSED
    answer(capsys, "resume", "r2")
    answer(capsys, "cancel", "r2")
    assert db.runs.get("r2").status is Status.CANCELLED
    again = db.runs.get(answer(capsys, "rerun", "r1", "-p", "seed=9").strip())
    assert (again.rerun_of, again.hyper_params["seed"]) == ("r1", 9)


def test_a_run_is_deleted_only_after_a_yes(
    db: RedisDB, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(db, "r1")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    answer(capsys, "rm", "r1", code=1)
    assert db.runs.get("r1")
    answer(capsys, "rm", "r1", "--yes")
    assert db.runs.list().total == 0


def test_who_watches_sees_every_end_and_the_whole_log(
    db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(db, "r1")
    finish(db, "r2", Status.FAILED)
    assert json.loads(answer(capsys, "watch", "r1", "--json"))["status"] == "done"
    assert "failed" in answer(capsys, "watch", "r1", "r2", code=1)
    lines = [json.loads(line)["text"] for line in answer(capsys, "logs", "-f", "r1", "--json").splitlines()]
    assert lines == ["first", "second \x1b[2J"]
    assert "second" not in answer(capsys, "logs", "r1", "--contains", "first")


def test_a_sweep_is_made_from_words_listed_and_stopped(
    db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ("-s", "learning_rate=1e-4..1e-1:log", "-p", "num_epochs=1", "--trials", "3", "--name", "first")
    sweep_id = answer(capsys, "sweep", "create", *made).strip()
    (listed,) = json.loads(answer(capsys, "sweep", "list", "--json"))["sweeps"]
    assert (listed["sweep_id"], listed["request"]["limits"]["trials"]) == (sweep_id, 3)
    shown = answer(capsys, "sweep", "show", sweep_id[:6], "--json").splitlines()
    assert "trials" in json.loads(shown[1])
    assert "first" in answer(capsys, "sweep", "list")
    assert "stop" in answer(capsys, "sweep", "stop", sweep_id[:6])
    assert main(["sweep", "delete", sweep_id[:6]]) == 1
    assert "has not ended" in capsys.readouterr().err
    db.sweeps.note(sweep_id, SweepSummary(), end=SweepState.STOPPED)
    assert "its runs stay" in answer(capsys, "sweep", "delete", sweep_id[:6])
    assert db.sweeps.list() == []
    assert main(["sweep", "create", "-s", "learning_rate=2..1"]) == 1
    assert "low is 2" in capsys.readouterr().err


def test_an_api_that_is_away_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_API_URL", f"http://127.0.0.1:{own_port()}")
    assert main(["status"]) == 3
    assert "Start the backend" in capsys.readouterr().err
    assert complete_run("") == []
    assert main(["status", "--nonsense"]) == 2


def test_ctrl_c_ends_a_watch_without_a_traceback(db: RedisDB, api_url: str) -> None:
    acted = ActedRun(db)
    command = [sys.executable, "-m", "cli.main", "watch", "--interval", "0.1"]
    environment = {**os.environ, "WATTLE_API_URL": api_url}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A test run that was started in the background ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as watch:  # fmt: skip
        assert watch.stdout is not None
        assert acted.run_id in watch.stdout.readline()
        acted.record()
        assert "epoch 1/20" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=60)
    assert (watch.returncode, errors) == (0, "")
