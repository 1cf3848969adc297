"""The routes, over a real store."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import EpochResult, Lease, Status, Worker
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
JSON = "application/json"


@pytest.fixture
def app(db: RedisDB, tmp_path: Path) -> APIFlask:
    return create_app(Settings(data_dir=tmp_path, max_body_bytes=5_000), db)


@pytest.fixture
def api(app: APIFlask) -> FlaskClient:
    return app.test_client()


def submit(api: FlaskClient, **hyper_params: object) -> str:
    reply = api.post("/train", json={"hyper_params": hyper_params})
    assert reply.status_code == 201, reply.text
    iid = reply.get_json()["iid"]
    assert isinstance(iid, str)
    return iid


def claim(db: RedisDB, queue: str = "default") -> Lease:
    lease = db.queue.claim([queue], worker_id="w", lease_s=60)
    assert lease is not None
    return lease


def epoch(number: int, accuracy: float = 0.5, energy_kwh: float | None = 0.001) -> EpochResult:
    return EpochResult(
        epoch=number,
        train_loss=1.0,
        train_accuracy=accuracy / 2,
        test_loss=0.9,
        test_accuracy=accuracy,
        duration_s=1.5,
        energy_kwh=energy_kwh,
        energy_quality="estimated" if energy_kwh else None,
        co2_g=0.4 if energy_kwh else None,
    )


def test_a_run_is_queued_with_every_default_filled_in(api: FlaskClient, db: RedisDB) -> None:
    reply = api.post("/train", json={"hyper_params": {"num_epochs": 3}, "options": {"tags": ["first"]}})

    assert (reply.status_code, reply.get_json()["success"]) == (201, True)
    run = db.runs.get(reply.get_json()["iid"])
    assert run.status is Status.WAITING
    assert run.options.tags == ("first",)
    assert run.hyper_params["trainer"] == "cnn"
    assert run.hyper_params["dataset"] == "digits"
    assert api.get(f"/status/{run.run_id}").get_json()["hyper_params"] == run.hyper_params


@pytest.mark.parametrize(
    "body",
    [
        {"demo": True, "hyper_params": {"network": "resnet9"}},
        {"hyper_params": {"demo": True, "network": "resnet9"}, "options": {"tags": ["a"]}},
        {"demo": True, "network": "resnet9"},
        {"hyper_params": {"trainer": "demo", "network": "resnet9"}},
    ],
)
def test_demo_simulates_the_run_and_every_answer_says_so(
    api: FlaskClient, db: RedisDB, body: dict[str, object]
) -> None:
    reply = api.post("/train", json=body)
    iid = reply.get_json()["iid"]

    run = db.runs.get(iid)
    assert (run.simulated, run.hyper_params["trainer"], run.hyper_params["network"]) == (
        True,
        "demo",
        "resnet9",
    )
    assert api.get(f"/status/{iid}").get_json()["simulated"] is True
    assert api.get("/experiments").get_json()["results"][0]["simulated"] is True
    assert api.get(f"/status/{submit(api)}").get_json()["simulated"] is False


@pytest.mark.parametrize("body", [{"demo": 1, "hyper_params": {}}, {"demo": "yes"}])
def test_demo_is_true_or_false(api: FlaskClient, body: dict[str, object]) -> None:
    reply = api.post("/train", json=body)
    assert reply.status_code == 422
    assert "demo" in reply.get_json()["error"]["details"][0]["field"]


def test_scripts_are_offered_and_accepted_only_where_they_have_a_folder(db: RedisDB, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    body = {"trainer": "script", "script": "train.py"}
    off = create_app(Settings(data_dir=tmp_path), db).test_client()
    on = create_app(Settings(data_dir=tmp_path, scripts_dir=tmp_path), db).test_client()

    names = [[t["name"] for t in api.get("/api/trainers").get_json()["trainers"]] for api in (off, on)]
    assert names == [["cnn", "demo"], ["cnn", "demo", "script"]]
    assert off.post("/train", json=body).status_code == 422
    assert on.post("/train", json=body).status_code == 201
    assert on.post("/train", json={**body, "script": "../train.py"}).status_code == 422


def test_the_flat_object_of_three_fields_is_a_body_too(api: FlaskClient, db: RedisDB) -> None:
    reply = api.post("/train", json={"optimizer": "Adam", "learning_rate": 0.01, "num_epochs": 2})

    run = db.runs.get(reply.get_json()["iid"])
    assert run.hyper_params["optimizer"] == "adam"
    assert run.num_epochs == 2


def test_the_same_key_again_answers_with_the_same_run_and_another_body_is_refused(
    api: FlaskClient, db: RedisDB
) -> None:
    key = {"Idempotency-Key": "k" * 200}
    first = api.post("/train", json={"num_epochs": 1}, headers=key)
    again = api.post("/train", json={"num_epochs": 1}, headers=key)
    other = api.post("/train", json={"num_epochs": 2}, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert (other.status_code, other.get_json()["error"]["code"]) == (409, "conflict")
    assert db.queue.length() == 1


def test_a_repetition_after_a_default_has_changed_answers_with_the_same_run(
    db: RedisDB, tmp_path: Path
) -> None:
    answers = []
    for dataset in ("digits", "mnist"):
        changed = create_app(Settings(data_dir=tmp_path, default_dataset=dataset), db).test_client()
        reply = changed.post("/train", json={"num_epochs": 1}, headers={"Idempotency-Key": "k"})
        assert reply.status_code == 201, reply.text
        answers.append(reply.get_json())
    assert answers[0] == answers[1]
    assert db.runs.get(answers[0]["iid"]).hyper_params["dataset"] == "digits"


@pytest.mark.parametrize("key", ["", "k" * 201, "two words", "schlüssel"])
def test_a_key_that_cannot_be_kept_is_refused_by_its_name(api: FlaskClient, key: str) -> None:
    reply = api.post("/train", json={"num_epochs": 1}, headers={"Idempotency-Key": key})
    assert reply.status_code == 422
    assert reply.get_json()["error"]["details"][0]["field"] == "Idempotency-Key"


def test_in_update_is_empty_until_the_first_epoch(api: FlaskClient) -> None:
    answer = api.get(f"/status/{submit(api)}").get_json()
    assert answer["in_update"] == []
    assert answer["progress"] == 0


def test_in_update_holds_equally_long_lists_in_percent_with_nulls_in_their_places(
    api: FlaskClient, db: RedisDB
) -> None:
    iid = submit(api, num_epochs=4)
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1, accuracy=0.5))
    db.runs.record_epoch(lease, epoch(2, accuracy=0.75, energy_kwh=None))

    answer = api.get(f"/status/{iid}").get_json()

    assert answer["status"] == "running"
    assert (answer["iid"], answer["attempt"], answer["progress"]) == (iid, 1, 0.5)
    assert answer["best_accuracy"] == 0.75
    update = answer["in_update"]
    assert update["epoch"] == [1, 2]
    assert update["test_accuracy"] == [50.0, 75.0]
    assert update["train_accuracy"] == [25.0, 37.5]
    assert update["time_training"] == [1.5, 3.0]
    assert update["energy_kwh"] == [0.001, None]
    assert update["co2_g"] == [0.4, None]
    assert {len(values) for values in update.values()} == {2}


def test_every_run_is_listed_newest_first(api: FlaskClient) -> None:
    iids = [submit(api, seed=seed) for seed in range(3)]
    for path in ("/experiments", "/api/runs"):
        answer = api.get(path).get_json()
        assert [run["iid"] for run in answer["results"]] == iids[::-1]
        assert (answer["cursor"], answer["total"], answer["counts"]["waiting"]) == (None, 3, 3)
        assert answer["results"][0]["in_update"] is None
        assert answer["results"][0]["sparkline"] is None


def test_pages_together_are_the_whole_list(api: FlaskClient) -> None:
    iids = [submit(api, seed=seed) for seed in range(5)]
    seen: list[str] = []
    query = "limit=2"
    for _ in range(3):
        answer = api.get(f"/experiments?{query}").get_json()
        seen += [run["iid"] for run in answer["results"]]
        query = f"limit=2&cursor={answer['cursor']}"
    assert seen == iids[::-1]
    assert answer["cursor"] is None


def test_a_cursor_without_a_limit_answers_all_that_is_left(api: FlaskClient) -> None:
    iids = [submit(api, seed=seed) for seed in range(3)]
    cursor = api.get("/experiments?limit=1").get_json()["cursor"]
    rest = api.get(f"/experiments?cursor={cursor}").get_json()["results"]
    assert [run["iid"] for run in rest] == iids[-2::-1]


def test_runs_are_sorted_filtered_and_given_what_was_asked_for(api: FlaskClient, db: RedisDB) -> None:
    worse, better, none = (submit(api, seed=seed) for seed in range(3))
    for accuracy in (0.3, 0.8):
        lease = claim(db)
        db.runs.record_epoch(lease, epoch(1, accuracy=accuracy))
        db.queue.finish(lease, Status.DONE)

    ranked = api.get("/experiments?sort=best_accuracy&fields=sparkline,in_update").get_json()["results"]
    done = api.get("/experiments?sort=best_accuracy&order=asc&status=done").get_json()["results"]

    assert [run["iid"] for run in ranked] == [better, worse, none]
    assert [run["sparkline"] for run in ranked] == [[0.8], [0.3], []]
    assert [run["in_update"] and run["in_update"]["test_accuracy"] for run in ranked] == [[80.0], [30.0], []]
    assert [run["iid"] for run in done] == [worse, better]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=name", "sort"),
        ("order=up", "order"),
        ("status=asleep", "status"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=" + "x" * 500, "cursor"),
        ("fields=in_update,all", "fields.1"),
        ("fields=sparkline,", "fields.1"),
        ("page=2", "page"),
        ("%E2%98%83=1", "☃"),
    ],
)
def test_a_bad_query_is_refused_by_its_parameter(api: FlaskClient, query: str, field: str) -> None:
    reply = api.get(f"/experiments?{query}")
    assert reply.status_code == 422
    assert reply.get_json()["error"]["details"][0]["field"] == field


@pytest.mark.parametrize(
    "iid", ["0" * 32, "abc%0a", "%00", "%ff", "a:b", "x:epochs", "*", "..%5c", "é", "x" * 5000, "a%2fb", " "]
)
@pytest.mark.parametrize("route", ["/status/{}", "/api/runs/{}", "/api/runs/{}/epochs", "/api/runs/{}/log"])
def test_an_unknown_or_odd_id_is_not_found(api: FlaskClient, route: str, iid: str) -> None:
    reply = api.get(route.format(iid))
    assert reply.status_code == 404
    assert reply.get_json()["error"]["code"] == "not_found"


def test_the_key_of_a_part_of_a_run_is_no_run(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    db.runs.record_epoch(claim(db), epoch(1))
    assert api.get(f"/status/{iid}:epochs").status_code == 404


@pytest.mark.parametrize("route", ["/status/{}", "/api/runs/{}"])
def test_a_run_comes_without_its_epochs_where_they_are_not_asked_for(
    api: FlaskClient, db: RedisDB, route: str
) -> None:
    iid = submit(api)
    db.runs.record_epoch(claim(db), epoch(1))
    assert api.get(route.format(iid)).get_json()["in_update"]["epoch"] == [1]
    answer = api.get(route.format(iid) + "?fields=").get_json()
    assert (answer["in_update"], answer["epochs_done"]) == (None, 1)
    assert api.get(route.format(iid) + "?fields=sparkline").status_code == 422


def test_epochs_come_with_the_attempts_that_made_them(api: FlaskClient, db: RedisDB) -> None:
    iid = submit(api)
    db.runs.record_epoch(claim(db), epoch(1))
    answer = api.get(f"/api/runs/{iid}/epochs").get_json()
    assert [result["epoch"] for result in answer["epochs"]] == [1]
    assert [attempt["worker"] for attempt in answer["attempts"]] == ["w"]


def test_the_trainers_carry_the_schema_of_their_form(api: FlaskClient) -> None:
    first = api.get("/api/trainers").get_json()["trainers"][0]
    assert first["name"] == "cnn"
    assert first["schema"]["properties"]["dataset"]["default"] == "digits"


def test_health_tells_who_works_and_how_much_waits(api: FlaskClient, db: RedisDB) -> None:
    submit(api)
    now = db.now()
    worker = Worker(
        worker_id="w1", name="one", host="h", pid=1, device="cpu", queues=("default",), threads=1,
        started_at=now, seen_at=now,
    )  # fmt: skip
    db.workers.beat(worker, ttl_s=60)

    reply = api.get("/healthz")

    assert reply.status_code == 200
    answer = reply.get_json()
    assert (answer["status"], answer["redis"], answer["waiting"]) == ("ok", "reachable", 1)
    assert [worker["name"] for worker in answer["workers"]] == ["one"]


def test_without_redis_everything_says_so_and_when_to_come_back(tmp_path: Path) -> None:
    with RedisDB(f"unix://{tmp_path}/no-such-socket") as absent:
        api = create_app(Settings(data_dir=tmp_path), absent).test_client()
        replies = [
            api.post("/train", json={"num_epochs": 1}),
            api.get("/experiments"),
            api.get(f"/status/{'0' * 32}"),
        ]
        health = api.get("/healthz")

    assert [reply.status_code for reply in replies] == [503] * 3
    assert {reply.headers["Retry-After"] for reply in replies} == {"2"}
    assert {reply.get_json()["error"]["code"] for reply in replies} == {"store_unavailable"}
    assert health.status_code == 503
    assert (health.get_json()["status"], health.get_json()["waiting"]) == ("unavailable", None)


def test_an_unexpected_failure_is_logged_and_not_shown(
    api: FlaskClient, db: RedisDB, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(run_id: str) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(db.runs, "get", fail)
    reply = api.get(f"/status/{'0' * 32}")

    assert (reply.status_code, reply.get_json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in reply.text
    assert "ZeroDivisionError" in caplog.text


def test_a_route_or_method_that_does_not_exist_is_named(api: FlaskClient) -> None:
    missing, method = api.get("/api/nothing"), api.delete("/train")
    assert (missing.status_code, method.status_code) == (404, 405)
    assert "POST" in method.headers["Allow"]
    assert {missing.get_json()["error"]["code"], method.get_json()["error"]["code"]} == {
        "not_found",
        "method_not_allowed",
    }


def test_a_body_that_is_too_large_is_refused_also_when_its_length_is_not_told(
    api: FlaskClient, db: RedisDB
) -> None:
    body = b'{"trainer": "' + b"x" * 5_000 + b'"}'
    told = api.post("/train", data=body, content_type=JSON)
    chunked = api.post(
        "/train",
        input_stream=io.BytesIO(body),
        content_type=JSON,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert (told.status_code, chunked.status_code) == (413, 413)
    assert told.get_json()["error"]["code"] == "body_too_large"
    assert db.queue.length() == 0


def test_the_backend_does_without_torch() -> None:
    code = "import sys, backend; sys.exit('torch' in sys.modules or 'streamlit' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
