"""A search over a real store: what it finds, in step with whatever happens to the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from backend import create_app
from catalog.catalog import Catalog, Wanted
from redis_db import RedisDB
from schema import ExperimentRequest, Lease, MetricPoints, PointsRequest, RunOptions, SortField, Status
from schema.listed import ListedRun
from settings import Settings
from store.listed import Listed
from tests.records import claim, epoch


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def submit(db: RedisDB, run_id: str, *, tags: tuple[str, ...] = (), **hyper_params: Any) -> None:
    db.queue.submit({"num_epochs": 2, **hyper_params}, RunOptions(queue=run_id, tags=tags), run_id=run_id)


def train(db: RedisDB, run_id: str, *, accuracy: float) -> Lease:
    lease = claim(db, worker_id=f"w-{run_id}", queue=run_id)
    db.runs.record_epoch(lease, epoch(1, test_accuracy=accuracy))
    return lease


def find(api: FlaskClient, query: str, **more: str) -> list[str]:
    reply = api.get("/api/runs", query_string={"q": query, "order": "asc", **more})
    assert reply.status_code == 200, reply.text
    assert reply.get_json()["total"] == len(reply.get_json()["results"])
    return [run["iid"] for run in reply.get_json()["results"]]


def test_the_words_of_the_issue_find_the_run_they_name(api: FlaskClient, db: RedisDB) -> None:
    for run_id, network, accuracy in (("a", "resnet9", 0.97), ("b", "resnet9", 0.9), ("c", "lenet5", 0.99)):
        submit(db, run_id, network=network, tags=("paper",))
        db.queue.finish(train(db, run_id, accuracy=accuracy), Status.FAILED)
    db.external.begin(
        ExperimentRequest(name="mine", params={"model": "resnet9", "opt": {"lr": 0.1}}, tags=("paper",)),
        run_id="s",
    )

    assert find(api, "network:resnet9 accuracy>0.95 tag:paper status:failed") == ["a"]
    assert find(api, "network:resnet9") == ["a", "b", "s"]
    assert find(api, "opt.lr<0.2 external:yes") == ["s"]
    assert find(api, "paper", status="failed") == ["a", "b", "c"]
    assert find(api, "  ") == ["a", "b", "c", "s"]
    answer = api.get("/api/search", query_string={"q": "-network:resnet9"}).get_json()
    assert answer == {"run_ids": ["c"], "total": 1}


def test_pages_of_a_search_follow_each_other(api: FlaskClient, db: RedisDB) -> None:
    for number in range(5):
        submit(db, f"r{number}", network="resnet9")
        train(db, f"r{number}", accuracy=number / 10)
    query: dict[str, str] = {"q": "accuracy>=0.1", "sort": "best_accuracy", "limit": "3"}
    first = api.get("/experiments", query_string=query).get_json()
    assert [run["iid"] for run in first["results"]] == ["r4", "r3", "r2"]
    assert (first["total"], first["counts"]["running"]) == (4, 5)
    second = api.get("/api/experiments", query_string={**query, "cursor": first["cursor"]}).get_json()
    assert [run["iid"] for run in second["results"]] == ["r1"]
    assert second["cursor"] is None
    refused = api.get("/api/runs", query_string={**query, "q": "r1", "cursor": first["cursor"]})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("acuracy>0.9", "At character 1, 'acuracy': no field"),
        ("status:done accuracy>high", "At character 22, 'high'"),
        ("x" * 501, "500 characters"),
    ],
)
def test_a_query_that_is_wrong_is_a_422_that_names_the_place(api: FlaskClient, query: str, text: str) -> None:
    for route in ("/api/runs", "/api/search"):
        reply = api.get(route, query_string={"q": query})
        assert reply.status_code == 422
        error = reply.get_json()["error"]
        assert [detail["field"] for detail in error["details"]] == ["q"]
        assert text in str(error)


def test_a_hyperparameter_of_ours_is_known_before_any_run_has_it(api: FlaskClient) -> None:
    assert find(api, "learning_rate>0.1") == []


def begin_script(db: RedisDB) -> None:
    db.external.begin(ExperimentRequest(name="mine", params={"lr": 1}), run_id="s")


def report(db: RedisDB) -> None:
    points = {"accuracy": MetricPoints(steps=[1], values=[0.75], times=[1.0])}
    db.metrics.record("s", PointsRequest(session="s", seq=1, points=points), at=db.now())


def fail(db: RedisDB) -> None:
    db.queue.finish(train(db, "a", accuracy=0.5), Status.FAILED)


# What happens, one after the other, and what is then found by which words.
STORY: tuple[tuple[Callable[[RedisDB], object], str, list[str]], ...] = (
    (lambda db: submit(db, "a", network="resnet9"), "status:waiting", ["a"]),
    (lambda db: claim(db, worker_id="w-a", queue="a"), "status:running worker:w-a", ["a"]),
    (fail, "status:failed accuracy:0.5", ["a"]),
    (lambda db: db.external.set_star("a", True), "starred:yes", ["a"]),
    (lambda db: db.external.set_tags("a", add=["group=x"], remove=()), "group:x", ["a"]),
    (begin_script, "lr:1 status:running", ["s"]),
    (report, "accuracy:0.75", ["s"]),
    (lambda db: db.external.set_params("s", {"lr": 2}), "lr:2", ["s"]),
    (lambda db: db.external.set_star("a", False), "starred:yes", []),
    (lambda db: db.external.end("s", Status.DONE), "status:done", ["s"]),
    (lambda db: db.controls.retry("a"), "status:waiting", ["a"]),
    (lambda db: db.controls.cancel("a"), "status:cancelled", ["a"]),
    (lambda db: db.controls.delete("a"), "resnet9", []),
)


def test_a_search_knows_all_that_happened_before_it(db: RedisDB, raw: redis.Redis) -> None:
    # A clock on which a second passes with each look, so that running runs are always looked at.
    seconds = iter(range(10_000))
    catalog = Catalog(db, clock=lambda: float(next(seconds)))
    assert catalog.find(Wanted()).run_ids == []
    for happen, query, wanted in STORY:
        happen(db)
        assert catalog.find(Wanted(query)).run_ids == wanted, query
        assert Catalog(db).find(Wanted(query)).run_ids == wanted, query
    submit(db, "b")
    raw.xtrim("events", maxlen=0)
    assert catalog.find(Wanted("id:b")).run_ids == ["b"]


def test_only_what_changed_is_read_again(db: RedisDB, monkeypatch: pytest.MonkeyPatch) -> None:
    for run_id in ("a", "b", "c"):
        submit(db, run_id)
    catalog = Catalog(db, clock=lambda: 0.0)
    catalog.find(Wanted())
    asked: list[str] = []
    find_many = Listed.find_many

    def note(listed: Listed, run_ids: Sequence[str]) -> Sequence[ListedRun]:
        asked.extend(run_ids)
        return find_many(listed, run_ids)

    monkeypatch.setattr(Listed, "find_many", note)
    db.external.set_star("b", True)
    assert catalog.find(Wanted("starred:yes")).run_ids == ["b"]
    assert asked == ["b"]


def test_a_search_lists_runs_in_the_order_of_the_list(api: FlaskClient, db: RedisDB) -> None:
    for run_id, accuracy in (("a", 0.5), ("b", 0.7), ("c", None), ("d", 0.5), ("e", None)):
        label: dict[str, Any] = {"simulated": True} if run_id == "b" else {}
        submit(db, run_id, network="x", **label)
        if accuracy is not None:
            train(db, run_id, accuracy=accuracy)
    for sort in SortField:
        for order in ("asc", "desc"):
            listed = api.get("/api/runs", query_string={"sort": sort.value, "order": order}).get_json()
            wanted = [run["iid"] for run in listed["results"]]
            assert find(api, "network:x", sort=sort.value, order=order) == wanted, (sort, order)
