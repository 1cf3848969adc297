"""What a call of log_metrics costs a training, ours and others', and how many points a backend takes in.

Each logger runs in a process of its own, one after the other, with four scalars a call, back to back. Ours
has its real backend (gunicorn, Redis with AOF everysec) and all of its defaults; MLflow a server of its own
with one worker and SQLite; TensorBoard, W&B (offline) and trackio write to local files. Ingest is our
points until the API says that it has them all, from one process. ``make peers`` first; a peer that cannot
run gives the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from bench.log_contestants import CONTESTANTS, MOST_CALLS, SCALARS, WARM_UP
from cli.redis_server import RedisServer, free_port
from tests.programs import ROOT, Programs, wait_until

PEERS: Final = ROOT / ".venv-peers" / "bin" / "python"
SECONDS, QUICK_SECONDS = 10.0, 2.0
REPEATS, QUICK_REPEATS = 3, 1
GOAL_US, GOAL_POINTS_PER_S = 5.0, 15_000

Figures = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser("bench.monitor", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the peers' interpreter")
    given = parser.parse_args(arguments)
    seconds, repeats = (QUICK_SECONDS, QUICK_REPEATS) if given.quick else (SECONDS, REPEATS)
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        for name in CONTESTANTS:
            runs = [
                _measure(name, Path(folder) / f"{name}-{number}", given.peers, seconds)
                for number in range(repeats)
            ]
            figures[name] = _middle([run for run in runs if "reason" not in run] or runs[:1])
            print(name, json.dumps(figures[name]), flush=True)
    print(_summary(figures, repeats))
    return 0


def _measure(name: str, folder: Path, peers: Path, seconds: float) -> Figures:
    folder.mkdir()
    if name == "ours":
        return _measure_ours(folder, seconds)
    if not peers.exists():
        return {"reason": f"there is no {peers}; run make peers"}
    if not name.startswith("mlflow"):
        return _run(name, peers, folder, seconds, "")
    with mlflow_server(peers, folder) as url:
        return _run(name, peers, folder, seconds, url)


def _measure_ours(folder: Path, seconds: float) -> Figures:
    """Measure our calls, and how long it takes until the API has all points of them."""
    server = RedisServer(folder / "redis", port=free_port(16379))
    server.start()
    programs = Programs(redis_url=server.url, data_dir=folder / "data")
    url = f"http://127.0.0.1:{(port := free_port(15000))}"
    try:
        programs.start("-m", "gunicorn", "--config", "gunicorn.conf.py", "backend:create_app()", port=port)
        wait_until(lambda: _is_up(f"{url}/healthz"), what="the backend answers")
        figures = _run("ours", Path(sys.executable), folder, seconds, url)
        if "reason" not in figures:
            figures["ingest_points_per_s"] = round(statistics.median(_ingest(url, folder) for _ in range(3)))
        return figures
    finally:
        programs.stop()
        server.stop()


def _ingest(url: str, folder: Path) -> float:
    """Return points/s from the first call until the API says that it has the last one."""
    from training_monitor import TrainingMonitor

    monitor = TrainingMonitor(
        "ingest", api_url=url, spool_dir=folder / "spool", strict=True, system_metrics=False
    )
    metrics = {"loss": 0.25, "accuracy": 0.5, "learning_rate": 1e-3, "grad_norm": 3.5}
    began_s = time.perf_counter()
    for step in range(MOST_CALLS):
        metrics["loss"] = 1 / (step + 1)
        monitor.log_metrics(metrics, step)
    with httpx.Client() as client:
        while True:
            answered = client.get(f"{url}/api/metrics/{monitor.run_id}").raise_for_status().json()["names"]
            if [each["count"] for each in answered] == [MOST_CALLS] * SCALARS:
                break
            time.sleep(0.02)
    took_s = time.perf_counter() - began_s
    monitor.finish()
    return SCALARS * MOST_CALLS / took_s


def _run(name: str, python: Path, folder: Path, seconds: float, url: str) -> Figures:
    quiet = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [str(python), "-m", "bench.log_contestants", name, str(folder), str(seconds), url]
    environment = {**os.environ, **quiet, "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1"}
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
    except subprocess.TimeoutExpired:
        return {"reason": "it did not end within 600 s"}
    if ran.returncode:
        return {"reason": (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]}
    found: Figures = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


@contextmanager
def mlflow_server(peers: Path, folder: Path) -> Iterator[str]:
    """An MLflow server with one worker over SQLite."""
    url = f"http://127.0.0.1:{(port := free_port(15500))}"
    command = [
        str(peers), "-m", "mlflow", "server", "--workers", "1", "--port", str(port), "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    # Its runners of background jobs would only take the cores from who logs.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _is_up(f"{url}/health"), timeout_s=120, what="MLflow answers")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


def _middle(runs: Sequence[Figures]) -> Figures:
    """Return the run with the median p50."""
    return sorted(runs, key=lambda run: run.get("us_p50", 0.0))[len(runs) // 2]


def _summary(figures: dict[str, Figures], repeats: int) -> str:
    ours, trackio = figures["ours"], figures["trackio"]
    found: Figures = {
        "log_metrics_us_p50": ours.get("us_p50"),
        "log_metrics_us_p99": ours.get("us_p99"),
        "cpu_us_per_point": ours.get("cpu_us_per_point"),
        "ingest_points_per_s": ours.get("ingest_points_per_s"),
    }
    for name, run in figures.items():
        if name != "ours":
            found |= {
                f"{name}_log_metrics_us_p50": run.get("us_p50"),
                f"{name}_log_metrics_us_p99": run.get("us_p99"),
                f"{name}_cpu_us_per_point": run.get("cpu_us_per_point"),
                f"{name}_version": run.get("version"),
            }
    if "us_p50" in ours and "us_p50" in trackio:
        found["log_metrics_over_trackio"] = round(ours["us_p50"] / trackio["us_p50"], 4)
        found["cpu_over_trackio"] = round(ours["cpu_us_per_point"] / trackio["cpu_us_per_point"], 4)
    found |= {
        "goal_us": GOAL_US, "goal_points_per_s": GOAL_POINTS_PER_S, "scalars": SCALARS, "warm_up": WARM_UP,
        "repeats": repeats, "cpus": os.cpu_count(), "python": platform.python_version(),
    }  # fmt: skip
    return json.dumps(found)


if __name__ == "__main__":
    raise SystemExit(main())
