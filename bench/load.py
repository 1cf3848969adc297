"""How much one Redis and two web processes bear: submissions, dashboards, workers and a long queue at once.

Real programs: Redis with its append-only file, and the API under gunicorn with two web processes. Against
them: 1,000 simulated workers that beat and renew every 5 s and record an epoch every 10 s through the
product's own calls (bench.load_workers; no torch), 10,000 runs that wait, 100 dashboards that each poll the
list of runs every 2 s, and 200 submissions per second, offered for 30 s whether or not they are answered in
time. How long a submission took counts from when it was due. The load itself runs on the same machine: what
it uses is printed, too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import redis

from bench.contestants import describe_machine
from bench.conversation import ROOT
from bench.load_clients import BODY
from bench.seeding import Seeder
from bench.store import percentile
from cli.redis_server import RedisServer, free_port
from tests.programs import Programs, wait_until
from trainers import complete_hyper_params

WEB_PROCESSES: Final = 2
BEAT_S: Final = 5.0
EPOCH_S: Final = 10.0
POLL_S: Final = 2.0
GOAL_PER_S: Final = 198.0
GOAL_MS: Final = 100.0
# A process that uses so much of a core has no room left.
FULL_SHARE: Final = 0.9


@dataclass(frozen=True)
class Load:
    """What is offered."""

    seconds: float = 30.0
    submissions_per_s: float = 200.0
    workers: int = 1_000
    waiting: int = 10_000
    dashboards: int = 100


QUICK: Final = Load(seconds=5.0, submissions_per_s=40.0, workers=100, waiting=1_000, dashboards=20)


class Api:
    """The API under gunicorn with more than one web process."""

    def __init__(self, programs: Programs, **settings: Any) -> None:
        """Start it and wait for it; settings are WATTLE_ variables without the prefix."""
        self.port = free_port(5_400)
        config = ("--config", "gunicorn.conf.py", "--workers", str(WEB_PROCESSES))
        command = ("-m", "gunicorn", *config, "backend:create_app()")
        self.process = programs.start(*command, port=self.port, **settings)
        wait_until(self._is_ready, timeout_s=60, what=programs.output())

    def web_processes(self) -> list[psutil.Process]:
        """Return those that answer."""
        return psutil.Process(self.process.pid).children()

    def _is_ready(self) -> bool:
        try:
            healthy = httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False
        return healthy and len(self.web_processes()) == WEB_PROCESSES


class Source:
    """A process that makes load; it begins and stops with a line."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def tell(self) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Wait for a line; raises RuntimeError when it ends without."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        return line

    def result(self) -> dict[str, Any]:
        """Wait for what it counted; it lives on, so that its CPU time can be read."""
        found: dict[str, Any] = json.loads(self.hear())
        return found

    def stop(self) -> None:
        """End it, whatever it does, and close its pipes."""
        self._process.kill()
        self._process.communicate()


class Usage:
    """CPU time of processes by name, from now on."""

    def __init__(self, processes: Mapping[str, Sequence[psutil.Process]]) -> None:
        self._processes = processes
        self._began_s = time.monotonic()
        self._before = {name: self._cpu_s(name) for name in processes}
        psutil.cpu_percent()

    def _cpu_s(self, name: str) -> list[float]:
        return [sum(process.cpu_times()[:2]) for process in self._processes[name]]

    def read(self) -> tuple[dict[str, list[float]], float]:
        """Return the cores that each process of a name used, and the share of the machine that was busy."""
        passed_s = time.monotonic() - self._began_s
        cores = {
            name: [
                round((after - before) / passed_s, 2)
                for before, after in zip(self._before[name], self._cpu_s(name), strict=True)
            ]
            for name in self._processes
        }
        return cores, psutil.cpu_percent() / 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load and print its figures; returns 1 when something failed."""
    parser = argparse.ArgumentParser("bench.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sixth of the time and a tenth of the load")
    load = QUICK if parser.parse_args(arguments).quick else Load()
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        server = RedisServer(Path(folder) / "redis", unix_socket=Path(folder) / "s")
        server.start()
        programs = Programs(redis_url=server.url, data_dir=Path(folder) / "data")
        try:
            seed(server.url, load, Path(folder))
            figures = _measure(load, server, Api(programs))
        finally:
            programs.stop()
            server.stop()
    _explain(figures)
    print(json.dumps({**figures, **describe_machine()}))
    return 1 if figures["errors"] else 0


def seed(url: str, load: Load, folder: Path) -> None:
    """Let runs wait: one for each worker, and as many as are to be waiting beside."""
    values = complete_hyper_params(BODY["hyper_params"], datasets_dir=folder, default_dataset=None)
    seeder = Seeder(url)
    for number in range(load.waiting + load.workers):
        seeder.submit(f"{number:032x}", values)
    seeder.close()


def _measure(load: Load, server: RedisServer, api: Api) -> dict[str, Any]:
    sources = {
        "workers": Source("bench.load_workers", server.url, load.workers, BEAT_S, EPOCH_S),
        "submitting": Source("bench.load_clients", "submit", api.port, load.submissions_per_s, load.seconds),
        "dashboards": Source("bench.load_clients", "poll", api.port, load.dashboards / POLL_S, load.seconds),
    }
    try:
        sources["workers"].hear()
        assert server.process is not None
        programs = {"redis": [psutil.Process(server.process.pid)], "web": api.web_processes()}
        usage = Usage(programs | {name: [psutil.Process(each.pid)] for name, each in sources.items()})
        sources["workers"].tell()
        sources["workers"].hear()
        began_s = time.monotonic()
        sources["dashboards"].tell()
        sources["submitting"].tell()
        submitted = sources["submitting"].result()
        cores, busy = usage.read()
        polled = sources["dashboards"].result()
        sources["workers"].tell()
        worked = sources["workers"].result() | {"took_s": time.monotonic() - began_s}
    finally:
        for each in sources.values():
            each.stop()
    return _figures(load, submitted, polled, worked) | _room(cores, busy) | _memory(server.url, api)


def _figures(
    load: Load, submitted: dict[str, Any], polled: dict[str, Any], worked: dict[str, Any]
) -> dict[str, Any]:
    troubles = {"submit": submitted, "poll": polled, "worker": worked}
    first = [f"{name}: {each['first_error']}" for name, each in troubles.items() if each["errors"]]
    return {
        "offered_per_s": load.submissions_per_s,
        "submissions_per_s": round(submitted["answered"] / submitted["took_s"], 1),
        "submit_ms_p50": percentile(submitted["took_ms"], 50),
        "submit_ms_p99": percentile(submitted["took_ms"], 99),
        "submit_ms_max": max(submitted["took_ms"]),
        "poll_ms_p50": percentile(polled["took_ms"], 50),
        "poll_ms_p99": percentile(polled["took_ms"], 99),
        "polls_per_s": round(polled["answered"] / polled["took_s"], 1),
        "errors": sum(each["errors"] for each in troubles.values()),
        "first_error": first[0] if first else None,
        "workers": load.workers,
        "workers_busy": worked["busy"],
        "beats_per_s": round(worked["beats"] / worked["took_s"], 1),
        "epochs_per_s": round(worked["epochs"] / worked["took_s"], 1),
        "runs_done": worked["runs_done"],
        "worker_latest_s": worked["latest_s"],
        "seconds": load.seconds,
    }


def _room(cores: dict[str, list[float]], busy: float) -> dict[str, Any]:
    """Return who used how much of a core, and whose room ends first."""
    most = {name: max(each) for name, each in cores.items()}
    ours = {name: most[name] for name in ("redis", "web")}
    first = max(ours, key=lambda name: ours[name])
    return {
        "cores_redis": cores["redis"][0],
        "cores_web": cores["web"],
        "cores_of_the_load": round(sum(sum(cores[name]) for name in cores if name not in ours), 2),
        "machine_busy": round(busy, 2),
        "bottleneck": "machine" if busy > FULL_SHARE > ours[first] else first,
        "bottleneck_share": max(busy, ours[first]) if busy > FULL_SHARE > ours[first] else ours[first],
    }


def _memory(url: str, api: Api) -> dict[str, Any]:
    with redis.Redis.from_url(url) as client:
        used = client.info("memory")
        runs = client.zcard("runs:by:time_added")
    mib = 2**20
    return {
        "redis_mib": round(used["used_memory"] / mib, 1),
        "redis_rss_mib": round(used["used_memory_rss"] / mib, 1),
        "web_mib": [round(process.memory_info().rss / mib) for process in api.web_processes()],
        "runs": runs,
    }


def _explain(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        print(f"{name:>20}  {value}")
    reached = figures["submissions_per_s"] >= GOAL_PER_S and figures["submit_ms_p99"] < GOAL_MS
    verdict = "reached" if reached and not figures["errors"] else "not reached"
    print(
        f"\nThe goal, {GOAL_PER_S:g} submissions/s with p99 below {GOAL_MS:g} ms and no error, is {verdict}."
    )
    print(
        f"First to have no room left: {figures['bottleneck']} ({figures['bottleneck_share']:.0%} of a core,"
    )
    print("or of all cores where it is the machine, which also makes the load).")


if __name__ == "__main__":
    sys.exit(main())
