"""Scripts that fall silent, and a store that is killed while they report."""

from __future__ import annotations

import httpx
import pytest

from cli.redis_server import RedisServer
from client import Client
from errors import ApiError
from schema import RunReply, Status
from tests.fault.test_redis_death import kill
from tests.ports import own_port
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow
SILENT_S = 3.0


@pytest.fixture
def api_url(programs: Programs) -> str:
    port = own_port()
    programs.start("backend.py", port=port, silent_s=SILENT_S)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: is_healthy(url), what="a backend")
    return url


def is_healthy(url: str) -> bool:
    with Client(url) as client:
        try:
            return client.get_health().status == "ok"
        except ApiError:
            return False


def send(url: str, iid: str, seq: int) -> httpx.Response:
    points = {"loss": {"steps": [seq], "values": [1 / seq], "times": [float(seq)]}}
    return httpx.post(f"{url}/api/metrics/{iid}", json={"session": "s", "seq": seq, "points": points})


def get(url: str, iid: str) -> RunReply:
    with Client(url) as client:
        return client.get_run(iid)


def test_the_run_of_a_killed_script_fails_and_goes_on_once_it_is_heard_of(api_url: str) -> None:
    iid = httpx.post(f"{api_url}/api/experiments", json={"name": "mine"}).json()["iid"]
    assert send(api_url, iid, 1).status_code == 200

    wait_until(lambda: get(api_url, iid).status is Status.FAILED, timeout_s=30, what="the end of the silence")

    run = get(api_url, iid)
    assert run.error is not None
    assert run.error.kind == "Silent"
    assert run.heard_at is not None
    assert run.ended_at is not None
    assert (run.ended_at - run.heard_at).total_seconds() >= SILENT_S
    assert send(api_url, iid, 2).json()["accepted"] == 1
    assert get(api_url, iid).status is Status.RUNNING


def test_what_was_answered_outlives_a_killed_redis_and_is_not_counted_twice(
    api_url: str, durable_redis: RedisServer
) -> None:
    iid = httpx.post(f"{api_url}/api/experiments", json={"name": "mine"}).json()["iid"]
    answered = [seq for seq in range(1, 51) if send(api_url, iid, seq).status_code == 200]
    assert answered == list(range(1, 51))

    kill(durable_redis)
    assert send(api_url, iid, 51).status_code == 503
    durable_redis.start()
    wait_until(lambda: is_healthy(api_url), what="a store")

    for seq in (49, 50, 51, 51):
        assert send(api_url, iid, seq).status_code == 200
    with Client(api_url) as client:
        found = client.read_metrics(iid, ["loss"]).metrics
    assert found is not None
    assert found["loss"].steps == list(range(1, 52))
    assert found["loss"].values == [1 / seq for seq in range(1, 52)]
