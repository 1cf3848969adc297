"""Watching over WebSockets and server-sent events, on the real server."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import EpochResult
from tests.live import LiveBackend
from tests.programs import Programs, wait_until

MOST = 5


@pytest.fixture(scope="module")
def programs(redis_url: str) -> Iterator[Programs]:
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        started = Programs(redis_url=redis_url, data_dir=Path(folder))
        yield started
        started.stop()


@pytest.fixture(scope="module")
def shared(programs: Programs) -> Iterator[LiveBackend]:
    with LiveBackend(programs, live_viewers=MOST) as started:
        yield started


@pytest.fixture
def backend(shared: LiveBackend, db: RedisDB) -> LiveBackend:
    wait_until(lambda: shared.viewers() == 0)
    return shared


def test_a_viewer_gets_all_of_it_first_and_then_what_is_new(backend: LiveBackend) -> None:
    backend.send(1, 16)
    backend.send(2, 3)
    with backend.watch() as watcher:
        first = watcher.next()
        assert first["type"] == "snapshot"
        assert first["points"] == {"iterations": [1, 2], "losses": [0.5, 0.5]}
        assert (first["aggregated"], first["is_ready"]) == (3, False)
        assert [tile["sample_id"] for tile in first["mosaic"]["tiles"]] == [str(place) for place in range(16)]
        backend.send(3, 13, loss="NaN")
        news = watcher.next()
        assert (news["type"], news["points"]) == ("update", {"iterations": [3], "losses": ["NaN"]})
        mosaic = news.get("mosaic") or watcher.until(lambda message: "mosaic" in message)["mosaic"]
        assert mosaic["iteration"] == 3


def test_events_carry_the_same_messages(backend: LiveBackend) -> None:
    backend.send(1)
    with backend.events() as events:
        assert next(events)["points"]["iterations"] == [1]
        backend.send(2)
        assert next(events)["points"]["iterations"] == [2]


def test_a_reset_is_a_snapshot_of_nothing(backend: LiveBackend) -> None:
    backend.send(1, 16)
    with backend.watch() as watcher:
        watcher.next()
        backend.http.post("/rpc/reset", json={})
        emptied = watcher.next()
        assert (emptied["type"], emptied["points"]["iterations"], emptied["mosaic"]) == ("snapshot", [], None)
        backend.send(1)
        assert watcher.next()["points"]["iterations"] == [1]


def test_every_update_arrives_once_and_in_order_however_fast_they_come(backend: LiveBackend) -> None:
    with backend.watch() as watcher, backend.watch() as other:
        for one in (watcher, other):
            one.next()
        for iteration in range(1, 301):
            backend.send(iteration)
        for one in (watcher, other):
            seen: list[int] = []
            messages = 0
            while len(seen) < 300:
                seen += one.next("update")["points"]["iterations"]
                messages += 1
            assert seen == list(range(1, 301))
            assert messages < 200, "several updates share a message"


def test_a_run_is_watched_with_its_epochs_and_its_status(backend: LiveBackend, db: RedisDB) -> None:
    run = db.queue.submit({"num_epochs": 2})
    lease = db.queue.claim(["default"], worker_id="w", lease_s=60)
    assert lease is not None
    with backend.watch(f"?run_id={run.run_id}") as watcher:
        first = watcher.next()
        assert (first["run_id"], first["run"]["status"], first["epochs"]) == (run.run_id, "running", [])
        db.runs.record_epoch(lease, epoch(1))
        news = watcher.next()
        assert [entry["epoch"] for entry in news["epochs"]] == [1]
        assert news["epochs"][0]["test_accuracy"] == 0.75
        assert news["run"]["epochs_done"] == 1
        backend.send(10, run_id=run.run_id)
        assert watcher.next()["points"]["iterations"] == [10]
        backend.send(1)
        db.runs.record_epoch(lease, epoch(2))
        assert watcher.until(lambda message: "epochs" in message)["epochs"][0]["epoch"] == 2
    with backend.watch(f"?run_id={run.run_id}") as late:
        assert [entry["epoch"] for entry in late.next()["epochs"]] == [1, 2]


def test_a_script_s_run_is_watched_with_every_metric(backend: LiveBackend) -> None:
    begun = backend.http.post("/api/experiments", json={"name": "mine", "project": "p"}).json()
    path = f"/api/metrics/{begun['run_id']}"

    def log(seq: int, **points: list[float | str]) -> None:
        listed = {
            name: {"steps": list(range(len(values))), "values": values, "times": [1.0] * len(values)}
            for name, values in points.items()
        }
        body = {"session": "s", "seq": seq, "points": listed}
        backend.http.post(path, json=body).raise_for_status()

    log(1, loss=[3.0, 2.0])
    with backend.watch(f"?run_id={begun['run_id']}") as watcher:
        first = watcher.next()
        assert first["metrics"] == {"loss": {"steps": [0, 1], "values": [3.0, 2.0]}}
        assert first["run"]["name"] == "mine"
        log(2, loss=[1.0, "NaN"], lr=[0.1])
        news = watcher.until(lambda message: "metrics" in message)["metrics"]
        assert news == {
            "loss": {"steps": [0, 1], "values": [1.0, "NaN"]}, "lr": {"steps": [0], "values": [0.1]},
        }  # fmt: skip


def test_of_a_script_s_run_that_is_archived_the_metrics_are_shown_too(backend: LiveBackend) -> None:
    run_id = backend.http.post("/api/experiments", json={"name": "mine"}).json()["run_id"]
    points = {"loss": {"steps": [0, 1], "values": [3.0, 2.0], "times": [1.0, 2.0]}}
    sent = backend.http.post(f"/api/metrics/{run_id}", json={"session": "s", "seq": 1, "points": points})
    ended = backend.http.post(f"/api/experiments/{run_id}/status", json={"status": "done"})
    begun = backend.http.post("/api/archive", json={"older_than_days": 0})
    assert (sent.status_code, ended.status_code, begun.status_code) == (200, 200, 202)
    wait_until(lambda: backend.http.get(f"/api/runs/{run_id}").json()["archived"])
    with backend.watch(f"?run_id={run_id}") as watcher:
        assert watcher.next()["metrics"] == {"loss": {"steps": [0, 1], "values": [3.0, 2.0]}}


def epoch(number: int) -> EpochResult:
    return EpochResult(
        epoch=number, train_loss=1, train_accuracy=0.5, test_loss=1, test_accuracy=0.75, duration_s=1
    )


def test_it_is_known_which_views_are_watched(backend: LiveBackend, db: RedisDB) -> None:
    run = db.queue.submit({"num_epochs": 2})
    with backend.watch(f"?run_id={run.run_id}") as watcher:
        watcher.next()
        assert db.live.is_watched(run.run_id)
        assert not db.live.is_watched("default")
    wait_until(lambda: not db.live.is_watched(run.run_id))


@pytest.mark.parametrize("query", [f"?run_id={'f' * 32}", "?run_id=x", "?what=1"])
def test_what_cannot_be_watched_is_refused_before_the_handshake(backend: LiveBackend, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        backend.watch(query)
    assert refused.value.response.status_code in (404, 422)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_no_page_of_another_site_may_watch(backend: LiveBackend, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        backend.watch(additional_headers=headers)
    assert refused.value.response.status_code in (400, 403)  # gunicorn itself refuses a second Host
    assert backend.http.get("/live/events", headers=headers).status_code == 403
    assert backend.viewers() == 0


def test_pages_of_the_api_itself_may_watch(backend: LiveBackend) -> None:
    with backend.watch(origin=f"http://127.0.0.1:{backend.port}") as watcher:
        assert watcher.next()["type"] == "snapshot"


def test_more_viewers_than_are_allowed_are_told_so_and_one_that_leaves_makes_room(
    backend: LiveBackend,
) -> None:
    with ExitStack() as stack:
        watchers = [stack.enter_context(backend.watch()) for _ in range(MOST)]
        for watcher in watchers:
            watcher.next()
        assert backend.viewers() == MOST
        with pytest.raises(InvalidStatus) as refused:
            backend.watch()
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert b"WATTLE_LIVE_VIEWERS" in (refused.value.response.body or b"")
        assert backend.http.get("/live/events").status_code == 503
        watchers[0].close()
        wait_until(lambda: backend.viewers() == MOST - 1)
        assert stack.enter_context(backend.watch()).next()["type"] == "snapshot"


def test_pings_are_answered_and_talk_is_not_heard(backend: LiveBackend) -> None:
    with backend.watch() as watcher:
        watcher.next()
        assert watcher.socket.ping().wait(60)
        watcher.socket.send("hello")
        backend.send(1)
        assert watcher.next()["points"]["iterations"] == [1]
        watcher.socket.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            watcher.next("never")


def test_two_backends_show_the_same(backend: LiveBackend, programs: Programs) -> None:
    with LiveBackend(programs) as other, other.watch() as watcher:
        watcher.next()
        backend.send(1, 16)
        assert watcher.next()["points"]["iterations"] == [1]


def test_broadcasts_are_held_back_as_long_as_is_set(db: RedisDB, programs: Programs) -> None:
    with LiveBackend(programs, frame_delay_ms=700) as slow, slow.watch() as watcher:
        watcher.next()
        # Once in twenty times at least the machine has time for the producer: held back, it never would be.
        for number in range(1, 21):
            started_s = time.monotonic()
            slow.send(number)
            sent_s = time.monotonic() - started_s
            assert watcher.next()["points"]["iterations"] == [number]
            assert time.monotonic() - started_s >= 0.7
            if sent_s < 0.5:
                return
    pytest.fail("the producer is held back")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_viewers_do_not_hold_the_stop_up_and_are_told(
    db: RedisDB, programs: Programs, number: signal.Signals
) -> None:
    backend = LiveBackend(programs)
    watchers = [backend.watch() for _ in range(20)]
    for watcher in watchers:
        watcher.next()
    started_s = time.monotonic()
    backend.stop(number)
    assert time.monotonic() - started_s < 20, "gunicorn would wait 30 s for them by default"
    for watcher in watchers:
        with pytest.raises(ConnectionClosed) as closed:
            watcher.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        watcher.close()
    assert "Traceback" not in programs.output()


def test_viewers_go_on_where_they_were_when_redis_was_away(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        server = RedisServer(Path(folder), unix_socket=Path(folder) / "s")
        server.start()
        programs = Programs(redis_url=server.url, data_dir=tmp_path / "data")
        try:
            with LiveBackend(programs) as backend, backend.watch() as watcher:
                backend.send(1)
                watcher.until(lambda message: message["iteration"] == 1)
                server.stop()
                while not watcher.next("beat")["is_store_away"]:
                    pass
                with pytest.raises(httpx.HTTPStatusError, match="503"):
                    backend.send(2)
                server.start()
                wait_until(lambda: backend.http.get("/healthz").is_success)
                backend.send(2)
                assert watcher.next("update")["points"]["iterations"] == [2]
        finally:
            programs.stop()
            server.stop()
