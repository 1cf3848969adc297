"""The routes that feed the live view, and all that they refuse."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema.live import DEFAULT_VIEW
from settings import Settings
from tests.pictures import batch, bomb, picture, sample, text

PATH = "/rpc/batch_update"


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def post(api: FlaskClient, body: Any, path: str = PATH) -> tuple[int, Any]:
    answer = api.post(path, json=body)
    return answer.status_code, answer.get_json()


def points(db: RedisDB, view: str = DEFAULT_VIEW) -> list[tuple[int, Any]]:
    _, entries, _ = db.live.list_newest(view)
    return [(point.iteration, point.loss) for entry in entries for point in entry.points]


def test_an_update_is_answered_with_its_own_figures_and_whether_a_mosaic_is_complete(
    api: FlaskClient,
) -> None:
    assert post(api, batch(1, 10)) == (
        200, {"status": "ok", "iteration": 1, "loss": 0.5, "tilesReady": False},
    )  # fmt: skip
    assert post(api, batch(2, 6, loss=0.25))[1] == {
        "status": "ok", "iteration": 2, "loss": 0.25, "tilesReady": True,
    }  # fmt: skip
    assert post(api, batch(3, 128))[1]["tilesReady"] is True


def test_a_duplicate_or_older_iteration_is_answered_ok_and_ignored(api: FlaskClient, db: RedisDB) -> None:
    post(api, batch(5, loss=1.0))
    assert post(api, batch(5, 16, loss=9.0)) == (
        200, {"status": "ok", "iteration": 5, "loss": 9.0, "tilesReady": False},
    )  # fmt: skip
    assert post(api, batch(2, loss=8.0))[1]["loss"] == 8.0
    assert points(db) == [(5, 1.0)]


def test_of_many_samples_sixteen_are_shown_spread_over_the_batch(api: FlaskClient, db: RedisDB) -> None:
    post(api, batch(1, 32))
    mosaic = db.live.find_mosaic(DEFAULT_VIEW)
    assert mosaic is not None
    assert [int(tile.sample_id) for tile in mosaic.tiles] == list(range(0, 32, 2))


def test_an_update_without_samples_adds_its_loss_and_the_rest_has_defaults(
    api: FlaskClient, db: RedisDB
) -> None:
    assert post(api, {"iteration": 0, "loss": 3})[0] == 200
    assert post(api, batch(1, loss="NaN"))[1]["loss"] == "NaN"
    assert points(db) == [(0, 3), (1, "NaN")]


def test_the_delay_is_told_and_never_waited_for(api: FlaskClient, db: RedisDB) -> None:
    assert post(api, batch(1, delay_ms=3_600_000))[0] == 200
    assert db.live.list_newest(DEFAULT_VIEW)[1][-1].delay_ms == 3_600_000


def test_a_run_has_a_view_of_its_own(api: FlaskClient, db: RedisDB) -> None:
    run = db.queue.submit({"num_epochs": 1})
    assert post(api, batch(3, run_id=run.run_id))[0] == 200
    assert points(db, run.run_id) == [(3, 0.5)]
    assert points(db) == []
    for path in (PATH, "/rpc/reset", "/api/live/tickets"):
        body = batch(1, run_id="f" * 32) if path == PATH else {"run_id": "f" * 32}
        assert post(api, body, path)[0] == 404


def test_a_reset_empties_the_view(api: FlaskClient, db: RedisDB) -> None:
    post(api, batch(9, 16))
    assert post(api, {}, "/rpc/reset") == (200, {"status": "ok"})
    assert points(db) == []
    assert db.live.find_mosaic(DEFAULT_VIEW) is None
    assert post(api, batch(1))[0] == 200
    assert points(db) == [(1, 0.5)]


WRONG: dict[str, dict[str, Any]] = {
    "text iteration": {"iteration": "1"},
    "fraction iteration": {"iteration": 1.5},
    "whole float iteration": {"iteration": 1.0},
    "flag iteration": {"iteration": True},
    "null iteration": {"iteration": None},
    "list iteration": {"iteration": [1]},
    "negative iteration": {"iteration": -1},
    "huge iteration": {"iteration": 2**53},
    "enormous iteration": {"iteration": 10**400},
    "text loss": {"loss": "much"},
    "flag loss": {"loss": False},
    "null loss": {"loss": None},
    "negative delay": {"delay_ms": -1},
    "text batch size": {"batch_size": "4"},
    "negative batch size": {"batch_size": -4},
    "no list": {"samples": {"0": {}}},
    "129 samples": {"samples": [sample(place) for place in range(129)]},
    "unknown field": {"sampels": []},
    "run id": {"run_id": "../x"},
    "513 pixels": {"samples": [sample(image_b64=text(picture(513)))]},
    "bad base64": {"samples": [sample(image_b64="%%%")]},
    "empty picture": {"samples": [sample(image_b64="")]},
    "no picture": {"samples": [{"sample_id": 1}]},
    "bomb": {"samples": [sample(image_b64=text(bomb(30_000, 30_000)))]},
    "gif": {"samples": [sample(image_b64=text(picture(kind="GIF", mode="P")))]},
    "torn picture": {"samples": [sample(image_b64=text(picture(64)[:-30]))]},
    "the last of many": {"samples": [*[sample()] * 15, sample(image_b64=text(picture(600)))]},
    "one that is not shown": {"samples": [*[sample()] * 127, sample(image_b64="?")]},
    "sure beyond doubt": {"samples": [sample(confidence=1.5)]},
    "control characters": {"samples": [sample(prediction="cat\u202e\x07")]},
    "long label": {"samples": [sample(ground_truth="x" * 121)]},
    "number of a picture": {"samples": [sample(image_b64=5)]},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_and_changes_nothing(api: FlaskClient, db: RedisDB, case: str) -> None:
    post(api, batch(1, 5))
    before = db.live.list_newest(DEFAULT_VIEW)
    status, answer = post(api, batch(2, 16) | WRONG[case])
    assert status in (400, 413, 422), answer
    assert answer["error"]["message"]
    assert db.live.list_newest(DEFAULT_VIEW) == before
    assert post(api, batch(2, 11))[1]["tilesReady"] is True


@pytest.mark.parametrize(
    "body",
    ["", "[]", "null", '"x"', '{"iteration": NaN, "loss": 1}', '{"iteration": 1}', "{", '{"a":' * 5000],
)
def test_what_is_no_update_at_all_is_refused(api: FlaskClient, body: str) -> None:
    for path in (PATH, "/rpc/reset"):
        assert 400 <= api.post(path, data=body, content_type="application/json").status_code < 500 or (
            path == "/rpc/reset" and body == ""
        )


def test_a_body_of_ten_megabytes_is_refused_unread_and_one_of_many_pictures_is_not(api: FlaskClient) -> None:
    large = json.dumps(batch(1, samples=0) | {"samples": [sample(image_b64="A" * 10_000_000)]}).encode()
    tracemalloc.start()
    answer = api.post(PATH, data=large, content_type="application/json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413
    assert "WATTLE_LIVE_BODY_BYTES" in answer.get_json()["error"]["message"]
    assert peak < 5_000_000
    noise = text(picture(512, kind="JPEG")) + ""
    assert len(noise) < 50_000
    many = [sample(place, image_b64=noise) for place in range(128)]
    assert post(api, batch(2) | {"samples": many})[0] == 200


def test_other_bodies_keep_to_their_own_limit(api: FlaskClient) -> None:
    answer = api.post("/train", data=b" " * 1_000_001, content_type="application/json")
    assert answer.status_code == 413
    assert "WATTLE_MAX_BODY_BYTES" in answer.get_json()["error"]["message"]


def test_no_web_page_of_another_site_may_send_updates(api: FlaskClient, db: RedisDB) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert api.post(PATH, json=batch(1), headers=headers).status_code == 403
    assert api.post(PATH, data=json.dumps(batch(1)), content_type="text/plain").status_code == 415
    assert points(db) == []


def test_a_ticket_lets_the_dashboard_alone_show_the_page_once(api: FlaskClient) -> None:
    status, issued = post(api, {}, "/api/live/tickets")
    assert status == 201
    with api.get("/live") as page:
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    address = f"/live?ticket={issued['ticket']}"
    with api.get(address) as page:
        assert page.status_code == 200
        assert page.headers["Content-Security-Policy"].endswith("frame-ancestors http://127.0.0.1:8501")
    assert api.get(address).status_code == 403


def test_a_ticket_is_for_one_run(api: FlaskClient, db: RedisDB) -> None:
    run = db.queue.submit({"num_epochs": 1})
    _, issued = post(api, {"run_id": run.run_id}, "/api/live/tickets")
    assert api.get(f"/live?ticket={issued['ticket']}").status_code == 403


def test_the_page_is_made_of_our_own_files_and_runs_no_other_script(api: FlaskClient) -> None:
    with api.get("/live") as page:
        policy = page.headers["Content-Security-Policy"]
        html = page.get_data(as_text=True)
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert "connect-src 'self' ws://localhost wss://localhost" in policy
    assert "<script>" not in html
    addresses = [part.split('"')[0] for part in html.split('="')[1:] if part.startswith("/")]
    assert len(addresses) >= 4
    for address in (*addresses, "/live/static/inter-latin.woff2", "/live/static/model.js"):
        with api.get(address) as reply:
            assert reply.status_code == 200, address
    assert api.get("/dashboard").headers["Location"] == "/live"


def test_the_licence_of_the_chart_lies_beside_it() -> None:
    folder = Path(__file__).resolve().parents[2] / "api" / "static" / "live"
    assert "MIT" in (folder / "uPlot-LICENSE.txt").read_text()


def test_a_server_that_cannot_hold_connections_says_so(api: FlaskClient) -> None:
    answer = api.get("/live/events")
    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "live_unavailable"
    plain = api.get("/ws")
    assert plain.status_code == 400
    assert "WebSocket" in plain.get_json()["error"]["message"]
