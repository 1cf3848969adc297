"""How long from submitting a run until an idle worker runs it.

Measured at the client: from just before ``POST /train`` until ``GET /status`` first says something other than
``waiting``, asked again without a pause, so that a figure includes at most one status request too much. Every
program is a real one: Redis with AOF everysec, the API under gunicorn, one worker. Each run is over before
the next one comes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import JsonValue

from cli.redis_server import RedisServer, free_port
from client import Client
from errors import ApiUnavailable
from schema import Status
from tests.programs import Programs, wait_until

RUN: dict[str, JsonValue] = {"trainer": "sleepy", "num_epochs": 1, "epoch_s": 0.0}
SUBMISSIONS, QUICK_SUBMISSIONS = 200, 40
WARM_UP = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser("bench.latency", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SUBMISSIONS} submissions, not {SUBMISSIONS}"
    )
    submissions = QUICK_SUBMISSIONS if parser.parse_args(arguments).quick else SUBMISSIONS
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        latencies_ms = _measure(Path(folder), submissions)
    percentiles = statistics.quantiles(latencies_ms, n=100, method="inclusive")
    figures = {
        "submit_to_running_ms_p50": round(percentiles[49], 2),
        "submit_to_running_ms_p99": round(percentiles[98], 2),
        "submissions": submissions,
        "redis_client": metadata.version("redis"),
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))
    return 0


def _measure(folder: Path, submissions: int) -> list[float]:
    server = RedisServer(folder / "redis", port=free_port(16379))
    server.start()
    programs = Programs(redis_url=server.url, data_dir=folder / "data")
    port = free_port(15000)
    try:
        programs.start("backend.py", port=port)
        programs.start_worker()
        with Client(f"http://127.0.0.1:{port}") as api:
            wait_until(lambda: _has_worker(api), timeout_s=60, what="a worker is live")
            latencies_ms = [_submit_and_wait(api, number) for number in range(WARM_UP + submissions)]
        return latencies_ms[WARM_UP:]
    finally:
        programs.stop()
        server.stop()


def _has_worker(api: Client) -> bool:
    try:
        return bool(api.get_health().workers)
    except ApiUnavailable:
        return False


def _submit_and_wait(api: Client, number: int) -> float:
    """Submit one run, wait until it is over, and return how long it took to be running, in ms."""
    start_s = time.perf_counter()
    run_id = api.submit(RUN).iid
    while api.get_run(run_id).status is Status.WAITING:
        pass
    latency_ms = 1000 * (time.perf_counter() - start_s)
    wait_until(lambda: api.get_run(run_id).status.is_final, what="the run is over")
    if number % 10 == 0:
        print(f"{number} submissions, the last one was running after {latency_ms:.1f} ms", flush=True)
    return latency_ms


if __name__ == "__main__":
    raise SystemExit(main())
