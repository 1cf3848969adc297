"""The SDK and its server die: what was logged before is there once, in order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cli.redis_server import RedisServer, free_port
from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from tests.monitor_memory import free_memory_below
from tests.monitor_server import MonitorServer, Refusal, monitor_server
from tests.programs import ROOT, Programs, wait_until

pytestmark = pytest.mark.slow

OUTAGE_S = 30.0
# Says each step once it is logged, in one write, so that a kill cannot come between the two unnoticed.
SCRIPT = """
import os, sys, time
from training_monitor import TrainingMonitor
monitor = TrainingMonitor("killed", resume=sys.argv[2] if len(sys.argv) > 2 else None)
for step in range(int(sys.argv[1]), 10_000_000):
    monitor.log_metrics({"loss": step / 2, "acc": 0.5}, step)
    os.write(1, b"%d\\n" % step)
    time.sleep(0.0005)
"""


class Script:
    """A training that goes on until it is killed; ``logged`` counts the steps it has said."""

    def __init__(self, folder: Path, api_url: str, *arguments: str) -> None:
        self._output = folder / f"steps-{time.monotonic_ns()}"
        spool = folder / "spool"
        with self._output.open("wb") as output, self._output.with_suffix(".log").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", SCRIPT, *arguments],
                cwd=ROOT,
                env={**os.environ, "WATTLE_API_URL": api_url, "WATTLE_SPOOL_DIR": str(spool)},
                stdout=output,
                stderr=errors,
            )

    @property
    def logged(self) -> int:
        return self._output.read_bytes().count(b"\n")

    def kill(self) -> int:
        """Kill it, and return how many steps it had logged."""
        assert self.process.poll() is None, self._output.with_suffix(".log").read_text()
        self.process.kill()
        self.process.wait()
        return self.logged


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[list[Script]]:
    started: list[Script] = []
    yield started
    for script in started:
        if script.process.poll() is None:
            script.process.kill()
            script.process.wait()
    free_memory_below(tmp_path)


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    with monitor_server() as started:
        yield started


def replay(folder: Path, api_url: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "training_monitor", "replay", "--spool-dir", str(folder / "spool")],
        cwd=ROOT, env={**os.environ, "WATTLE_API_URL": api_url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_costs_no_point_that_was_logged(
    seed: int, tmp_path: Path, server: MonitorServer, scripts: list[Script]
) -> None:
    scripts.append(script := Script(tmp_path, server.url, "0"))
    moments = random.Random(seed)  # noqa: S311 moments, no secrets
    wait_until(lambda: script.logged > 200 + moments.randrange(2_000))
    logged = script.kill()

    assert "1 sessions sent, 0 left" in replay(tmp_path, server.url)

    steps = [point[0] for point in server.only_run.points["loss"]]
    assert steps == list(range(len(steps)))
    # One more may have been logged than it could say.
    assert logged <= len(steps) <= logged + 1
    assert [point[1] for point in server.only_run.points["loss"]] == [step / 2 for step in steps]
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_kill_of_the_replay_neither_doubles_nor_loses(
    tmp_path: Path, server: MonitorServer, scripts: list[Script], is_carried_out: bool
) -> None:
    server.stop()
    scripts.append(script := Script(tmp_path, server.url, "0"))
    wait_until(lambda: script.logged > 3_000)
    logged = script.kill()
    server.start()

    def refuse_points(path: str, _body: object) -> Refusal | None:
        return None if is_carried_out or "metrics" not in path else Refusal(503, "Not now.")

    def has_asked(paths: int) -> bool:
        return sum("metrics" in path for _, path, _ in server.asked) > paths

    # Each of these sends points, hears of no success and dies.
    server.refuse = refuse_points
    for _ in range(3):
        asked = sum("metrics" in path for _, path, _ in server.asked)
        command = [sys.executable, "-m", "training_monitor", "replay", "--spool-dir", str(tmp_path / "spool")]
        dying = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "WATTLE_API_URL": server.url})
        wait_until(lambda: server.runs, what="the run is made")
        server.lose_answers = 1_000_000 if is_carried_out else 0
        wait_until(partial(has_asked, asked))
        dying.kill()
        dying.wait()
        server.lose_answers = 0
    server.refuse = lambda _path, _body: None
    replay(tmp_path, server.url)
    steps = [point[0] for point in server.only_run.points["loss"]]
    assert steps == list(range(len(steps)))
    assert logged <= len(steps) <= logged + 1


@pytest.mark.parametrize("moment", ["all of the outage is sent", "it is being sent", "the outage lasts"])
def test_backend_dead_for_30_s_and_the_script_killed_after_it(
    moment: str,
    tmp_path: Path,
    durable_redis: RedisServer,
    programs: Programs,
    store: RedisDB,
    scripts: list[Script],
) -> None:
    """The real backend under gunicorn, killed in mid-run; then the script, killed once and resumed."""
    port = free_port(15_000)
    url = f"http://127.0.0.1:{port}"
    backend = start_backend(programs, port)
    scripts.append(first := Script(tmp_path, url, "0"))
    wait_until(lambda: first.logged > 1_000 and store.runs.list().runs)
    (run,) = store.runs.list().runs
    stored = partial(stored_steps, store, run.run_id)
    wait_until(stored, what="points in mid-run")
    os.killpg(backend.pid, signal.SIGKILL)
    backend.wait()
    down_s, sent = time.monotonic(), stored()
    wait_until(lambda: time.monotonic() - down_s > OUTAGE_S)
    before = first.logged
    assert stored() == sent, "it is away"
    assert before > 2_000, "the loop went on"
    logged_by_first = first.kill() if moment == "the outage lasts" else 0
    start_backend(programs, port)
    if moment == "it is being sent":
        wait_until(lambda: stored() > sent, what="some of the outage")
    elif moment == "all of the outage is sent":
        wait_until(lambda: stored() > before, what="all of the outage")
    logged_by_first = logged_by_first or first.kill()

    scripts.append(second := Script(tmp_path, url, str(logged_by_first + 1), run.run_id))
    wait_until(lambda: not sessions_but(tmp_path, 1), what="what the first had left is sent")
    wait_until(lambda: second.logged > 500)
    logged_by_second = second.kill()
    replay(tmp_path, url)

    assert len(store.runs.list().runs) == 1
    check_points(store, run.run_id, logged_by_first, logged_by_second)


def start_backend(programs: Programs, port: int) -> subprocess.Popen[bytes]:
    command = ("-m", "gunicorn", "--config", "gunicorn.conf.py", "backend:create_app()")
    backend = programs.start(*command, port=port)
    wait_until(lambda: is_healthy(f"http://127.0.0.1:{port}"), what="the backend is healthy")
    return backend


def check_points(store: RedisDB, run_id: str, first: int, second: int) -> None:
    """Each script's points are there once and in order; each may have logged one more than it could say."""
    arrived = store.metrics.list_new(run_id, {}, most=lambda _count: 10_000_000)
    loss, acc = arrived["loss"][1], arrived["acc"][1]
    assert acc["step"].tolist() == loss["step"].tolist()
    assert set(acc["value"].tolist()) == {0.5}
    assert loss["value"].tolist() == [step / 2 for step in loss["step"].tolist()]
    # What the first has left and what the second logs come side by side; each is in order.
    steps = loss["step"].tolist()
    of_first = [step for step in steps if step <= first]
    of_second = [step for step in steps if step > first]
    assert of_first in (list(range(first)), list(range(first + 1)))
    assert of_second in [list(range(first + 1, first + 1 + count)) for count in (second, second + 1)]


def stored_steps(store: RedisDB, run_id: str) -> int:
    found = store.metrics.list_new(run_id, {}, most=lambda _count: 1)
    return found["loss"][0] if found else 0


def sessions_but(folder: Path, count: int) -> bool:
    return len(list((folder / "spool").glob("*/head.json"))) > count


def is_healthy(url: str) -> bool:
    with Client(url) as client:
        try:
            return client.get_health().status == "ok"
        except ApiUnavailable:
            return False
