"""The routes that control one run, over a real store."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import Lease, Run, RunError, RunOptions, Status, Worker
from settings import Settings
from tests.records import TORCH_WORKER, claim

ACTIONS = ("cancel", "pause", "resume", "preempt", "retry", "rerun")
ABSENT = "0" * 32


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def submit(api: FlaskClient, options: dict[str, object] | None = None, **hyper_params: object) -> str:
    reply = api.post("/train", json={"hyper_params": hyper_params, "options": options or {}})
    iid = reply.get_json()["iid"]
    assert isinstance(iid, str)
    return iid


def ask(api: FlaskClient, iid: str, action: str, body: object = None, status: int = 200) -> dict[str, object]:
    reply = api.post(f"/api/runs/{iid}/{action}", json={} if body is None else body)
    assert reply.status_code == status, reply.text
    answer: dict[str, object] = reply.get_json()
    return answer


def refusal(api: FlaskClient, iid: str, action: str) -> str:
    error = ask(api, iid, action, status=409)["error"]
    assert isinstance(error, dict)
    assert error["code"] == "conflict"
    return str(error["message"])


def beat(db: RedisDB, **changes: object) -> Worker:
    worker = TORCH_WORKER.model_copy(update=changes)
    db.workers.beat(worker, ttl_s=60)
    return worker


def fail(db: RedisDB, lease: Lease) -> Run:
    error = RunError(
        kind="OSError",
        message="disk full",
        traceback="T" * 100,
        step=7,
        epoch=1,
        host="gpu-1",
        hint="free some",
    )
    db.queue.finish(lease, Status.FAILED, error=error)
    return db.runs.get(lease.run_id)


def test_a_waiting_run_is_cancelled_at_once_and_again_changes_nothing(api: FlaskClient, db: RedisDB) -> None:
    iid, other = submit(api), submit(api)
    for _ in range(2):
        answer = ask(api, iid, "cancel")
        assert (answer["iid"], answer["status"], answer["request"]) == (iid, "cancelled", None)
        assert str(answer["status_line"]).startswith("cancelled")
    assert db.queue.length("default") == 1
    assert claim(db).run_id == other


def test_a_running_run_is_asked_to_stop_and_says_so_until_it_has(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    lease = claim(db, worker_id="w-1")
    beat(db, run_id=iid)

    answer = ask(api, iid, "cancel")
    assert (answer["status"], answer["request"]) == ("running", "cancel")
    assert answer["status_line"] == "running: cancel asked for, stops at the next step"
    db.queue.release(lease, reason="cancel was asked for")
    assert api.get(f"/api/runs/{iid}").get_json()["status"] == "cancelled"


def test_a_run_is_paused_and_resumed_at_the_pop_end(api: FlaskClient, db: RedisDB) -> None:
    first, second = submit(api), submit(api)
    assert ask(api, second, "pause")["status"] == "paused"
    assert str(ask(api, second, "pause")["status_line"]).startswith("paused since ")
    assert db.queue.length("default") == 1
    answer = ask(api, second, "resume")
    assert (answer["status"], answer["paused_at"]) == ("waiting", None)
    assert [claim(db, worker_id=name).run_id for name in "ab"] == [second, first]


def test_the_wish_to_pause_or_preempt_a_running_run_is_taken_back(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    claim(db)
    for wish in ("pause", "preempt"):
        assert ask(api, iid, wish)["request"] == wish
        answer = ask(api, iid, "resume")
        assert (answer["status"], answer["request"]) == ("running", None)


def test_a_deferred_run_says_until_when_and_starts_now_when_resumed(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api, {"start_at": "2999-01-01T00:00:00Z"})
    assert api.get(f"/api/runs/{iid}").get_json()["status_line"] == "deferred until 2999-01-01 00:00:00 UTC"
    assert db.queue.length("default") == 0
    assert ask(api, iid, "resume")["status"] == "waiting"
    assert claim(db).run_id == iid


def test_a_failed_run_explains_itself_and_is_retried(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    fail(db, claim(db))

    answer = api.get(f"/api/runs/{iid}").get_json()
    assert answer["status_line"] == "failed: OSError: disk full"
    failure = answer["failure"]
    assert failure["sentence"] == "Attempt 1 failed in epoch 1, after step 7, on gpu-1: disk full"
    assert (failure["hint"], failure["traceback"]) == ("free some", "T" * 100)
    (listed,) = api.get("/api/runs?status=failed").get_json()["results"]
    assert (listed["failure"]["kind"], listed["failure"]["traceback"]) == ("OSError", None)
    assert (listed["error"]["message"], listed["error"]["traceback"]) == ("disk full", None)

    for _ in range(2):
        retried = ask(api, iid, "retry")
        assert (retried["status"], retried["failures"]) == ("waiting", 0)
    assert db.queue.length("default") == 1
    assert claim(db).attempt == 2


def test_priority_is_changed_and_shows_in_what_is_before_a_run(api: FlaskClient, db: RedisDB) -> None:
    beat(db)
    first, second = submit(api), submit(api)
    assert [line_of(api, iid) for iid in (first, second)] == [
        "waiting: the next one to be claimed",
        "waiting: 1 run before it",
    ]
    answer = ask(api, second, "priority", {"priority": "high"})
    assert (answer["options"], answer["status_line"]) == (
        db.runs.get(second).options.model_dump(mode="json"),
        "waiting: the next one to be claimed",
    )
    assert db.runs.get(second).options.priority == "high"
    assert line_of(api, first) == "waiting: 1 run before it"
    ask(api, second, "priority", {"priority": "high"})
    assert claim(db).run_id == second


def line_of(api: FlaskClient, iid: str) -> str:
    by_id = {run["iid"]: run["status_line"] for run in api.get("/api/runs").get_json()["results"]}
    alone = api.get(f"/api/runs/{iid}?fields=").get_json()["status_line"]
    assert by_id[iid] == alone
    return str(alone)


def test_a_run_that_no_live_worker_can_take_says_so(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api, {"requires": {"gpus": 2, "min_gpu_memory_gib": 40}})
    assert line_of(api, iid).startswith("waiting: no worker is alive; start one with")
    beat(db)
    assert line_of(api, iid) == (
        "waiting: no live worker takes runs of the queue default that need 2 GPUs with 40 GiB; "
        "start one on a machine that has this with 'python worker.py'"
    )
    beat(db, worker_id="w-2", gpus=2, gpu_memory_gib=80.0)
    assert line_of(api, iid) == "waiting: the next one to be claimed"


@pytest.mark.parametrize("has_failed", [False, True])
def test_what_has_ended_is_neither_cancelled_paused_preempted_nor_reordered(
    api: FlaskClient, db: RedisDB, has_failed: bool
) -> None:
    iid = submit(api)
    lease = claim(db)
    if has_failed:
        fail(db, lease)
    else:
        db.queue.finish(lease, Status.DONE)
    before = db.runs.get(iid)
    for action in ("cancel", "pause", "resume", "preempt"):
        assert iid in refusal(api, iid, action)
    assert ask(api, iid, "priority", {"priority": "high"}, status=409)
    assert db.runs.get(iid) == before


def test_what_does_not_fit_the_status_is_refused_with_a_sentence(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    assert refusal(api, iid, "preempt").endswith(".")
    lease = claim(db)
    db.queue.finish(lease, Status.DONE)
    assert refusal(api, iid, "retry").endswith(".")
    assert db.runs.get(iid).status is Status.DONE


@pytest.mark.parametrize("iid", [ABSENT, "abc%0a", "x:epochs", "*", "é", "x" * 5000])
@pytest.mark.parametrize("action", [*ACTIONS, "priority"])
def test_a_run_that_does_not_exist_is_not_found(api: FlaskClient, action: str, iid: str) -> None:
    body = {"priority": "high"} if action == "priority" else {}
    reply = api.post(f"/api/runs/{iid}/{action}", json=body)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (404, "not_found")


def test_a_rerun_is_a_new_run_with_the_old_one_s_values(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api, {"tags": ["a"], "queue": "night"}, num_epochs=4, seed=7)
    new = ask(api, iid, "rerun", status=201)
    run, old = db.runs.get(str(new["iid"])), db.runs.get(iid)
    assert (run.hyper_params, run.options) == (old.hyper_params, old.options)
    assert (run.rerun_of, new["rerun_of"], run.status) == (iid, iid, Status.WAITING)
    assert old.status is Status.WAITING


def test_a_rerun_takes_changes_and_refuses_wrong_ones_by_their_field(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api, num_epochs=4)
    changes = {"hyper_params": {"num_epochs": 9}, "options": {"timeout_s": 60, "priority": "high"}}
    run = db.runs.get(str(ask(api, iid, "rerun", changes, status=201)["iid"]))
    assert (run.num_epochs, run.options.timeout_s, run.options.priority) == (9, 60, "high")
    assert run.hyper_params == db.runs.get(iid).hyper_params | {"num_epochs": 9}

    for body, field in (
        ({"hyper_params": {"num_epochs": 0}}, "hyper_params.num_epochs"),
        ({"hyper_params": {"nonsense": 1}}, "hyper_params.nonsense"),
        ({"options": {"priority": "urgent"}}, "options.priority"),
        ({"options": {"nonsense": 1}}, "options.nonsense"),
        ({"options": {"queue": "high"}}, "options.queue"),
        ({"options": {"requires": {"gpus": 65}}}, "options.requires.gpus"),
        ({"num_epochs": 3}, "num_epochs"),
    ):
        error = ask(api, iid, "rerun", body, status=422)["error"]
        assert isinstance(error, dict)
        assert error["details"][0]["field"] == field
    assert db.queue.length() == 2


def test_a_simulated_run_is_rerun_as_a_simulation_and_as_a_training(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api, demo=True, network="resnet9")
    again = db.runs.get(str(ask(api, iid, "rerun", status=201)["iid"]))
    trained = db.runs.get(
        str(ask(api, iid, "rerun", {"hyper_params": {"trainer": "cnn"}}, status=201)["iid"])
    )
    assert (again.simulated, again.hyper_params["network"]) == (True, "resnet9")
    assert (trained.simulated, trained.hyper_params["network"]) == (False, "resnet9")


def test_a_rerun_that_is_repeated_with_its_key_queues_once(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    key = {"Idempotency-Key": "k"}
    replies = [api.post(f"/api/runs/{iid}/rerun", json={}, headers=key) for _ in range(2)]
    other = api.post(f"/api/runs/{iid}/rerun", json={"hyper_params": {"seed": 9}}, headers=key)
    assert [reply.status_code for reply in replies] == [201, 201]
    assert replies[0].get_json()["iid"] == replies[1].get_json()["iid"] != iid
    assert other.status_code == 409
    assert db.queue.length() == 2


def test_a_page_of_200_runs_costs_a_few_round_trips(
    api: FlaskClient, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        db.queue.submit({"num_epochs": 1, "seed": number}, RunOptions(queue=f"q{number % 3}"))
    for number in range(5):
        beat(db, worker_id=f"w-{number}", queues=("q0", "q1", "q2"))
    trips: list[str] = []
    connection = db.runs._connection
    for name in ("call", "call_many", "run"):
        known = getattr(connection, name)

        def counted(*arguments: object, _known: object = known, _name: str = name) -> object:
            trips.append(_name)
            assert callable(_known)
            return _known(*arguments)

        monkeypatch.setattr(connection, name, counted)
    results = api.get("/api/runs?limit=200").get_json()["results"]
    assert len({run["status_line"] for run in results}) == 200
    assert 1 <= len(trips) <= 6, trips


def test_lines_of_a_long_list_are_exact_at_both_ends(api: FlaskClient, db: RedisDB) -> None:
    beat(db)
    iids = [db.queue.submit({"num_epochs": 1}).run_id for _ in range(600)]
    lines = {run["iid"]: run["status_line"] for run in api.get("/api/runs").get_json()["results"]}
    assert lines[iids[0]] == "waiting: the next one to be claimed"
    assert lines[iids[249]] == "waiting: 249 runs before it"
    assert lines[iids[300]] == "waiting: at least 250 runs before it"
    assert lines[iids[599]] == "waiting: 599 runs before it"


@pytest.mark.parametrize(
    ("start_at", "status", "line"),
    [
        ("1970-01-01T00:00:00Z", "waiting", "waiting: "),
        ("9998-12-31T23:59:59Z", "deferred", "deferred until 9998-12-31 23:59:59 UTC"),
        ("2999-06-01T12:00:00+02:00", "deferred", "deferred until 2999-06-01 10:00:00 UTC"),
    ],
)
def test_a_start_is_taken_at_the_ends_of_what_is_allowed_and_in_any_zone(
    api: FlaskClient, start_at: str, status: str, line: str
) -> None:
    run = api.get(f"/api/runs/{submit(api, {'start_at': start_at})}").get_json()
    assert run["status"] == status
    assert run["status_line"].startswith(line)
