"""One logger in a process of its own: ``python -m bench.log_contestants NAME FOLDER SECONDS [URL]``.

Standard library and that logger alone, so that each runs in its own environment. The last line is its
figures: percentiles of a call with four scalars, back to back, and the CPU seconds of this process from the
first call until all is flushed.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

SCALARS = 4
WARM_UP = 200
MOST_CALLS = 100_000
# Whose server takes tens of milliseconds a call, which all have to be flushed.
MOST_CALLS_OF = {"mlflow": 300, "mlflow_async": 1_000}


class Logger(NamedTuple):
    """What a contestant is: a call of a step's metrics, and what ends the run and flushes."""

    log: Callable[[Mapping[str, float], int], object]
    finish: Callable[[], object]
    version: str


def open_ours(folder: str, url: str) -> Logger:
    """Open this SDK, with all of its defaults, to a real backend."""
    os.environ["WATTLE_SPOOL_DIR"] = folder
    monitor = importlib.import_module("training_monitor").TrainingMonitor("bench", api_url=url, strict=True)

    def finish() -> None:
        if not monitor.finish(timeout_s=300.0):
            raise SystemExit("Not all was sent.")

    return Logger(monitor.log_metrics, finish, "")


def open_tensorboard(folder: str, _url: str) -> Logger:
    """Open PyTorch's SummaryWriter: a call for each scalar."""
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder)

    def log(metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    return Logger(log, writer.close, importlib.import_module("tensorboard").__version__)


def open_mlflow(_folder: str, url: str) -> Logger:
    """Open MLflow, which answers once the server has the metrics."""
    return _open_mlflow(url, is_synchronous=True)


def open_mlflow_async(_folder: str, url: str) -> Logger:
    """Open MLflow's asynchronous logging."""
    return _open_mlflow(url, is_synchronous=False)


def _open_mlflow(url: str, *, is_synchronous: bool) -> Logger:
    mlflow = importlib.import_module("mlflow")
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("bench")
    mlflow.start_run()

    def log(metrics: Mapping[str, float], step: int) -> None:
        mlflow.log_metrics(metrics, step=step, synchronous=is_synchronous)

    def finish() -> None:
        mlflow.flush_async_logging()
        mlflow.end_run()

    return Logger(log, finish, mlflow.__version__)


def open_wandb(folder: str, _url: str) -> Logger:
    """Open W&B, offline: its service writes to a file."""
    wandb = importlib.import_module("wandb")
    run = wandb.init(project="bench", dir=folder, mode="offline", settings=wandb.Settings(silent=True))
    return Logger(lambda metrics, step: run.log(metrics, step=step), run.finish, wandb.__version__)


def open_trackio(folder: str, _url: str) -> Logger:
    """Open trackio, into its local store."""
    os.environ["TRACKIO_DIR"] = folder
    trackio = importlib.import_module("trackio")
    trackio.init(project="bench", embed=False)
    return Logger(lambda metrics, step: trackio.log(metrics, step=step), trackio.finish, trackio.__version__)


CONTESTANTS: dict[str, Callable[[str, str], Logger]] = {
    "ours": open_ours,
    "tensorboard": open_tensorboard,
    "mlflow": open_mlflow,
    "mlflow_async": open_mlflow_async,
    "wandb": open_wandb,
    "trackio": open_trackio,
}


def measure(logger: Logger, seconds: float, most_calls: int) -> dict[str, Any]:
    """Call back to back for so long, or so often, and flush."""
    metrics = {"loss": 0.25, "accuracy": 0.5, "learning_rate": 1e-3, "grad_norm": 3.5}
    for step in range(WARM_UP):
        logger.log(metrics, step)
    calls_ns: list[int] = []
    cpu_s = time.process_time()
    began_s = time.perf_counter()
    step = WARM_UP
    while len(calls_ns) < most_calls and time.perf_counter() - began_s < seconds:
        before_ns = time.perf_counter_ns()
        logger.log(metrics, step)
        calls_ns.append(time.perf_counter_ns() - before_ns)
        step += 1
    logger.finish()
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    hundredths = statistics.quantiles(calls_ns, n=100, method="inclusive")
    points = SCALARS * len(calls_ns)
    return {
        "calls": len(calls_ns),
        "us_p50": round(hundredths[49] / 1e3, 3),
        "us_p99": round(hundredths[98] / 1e3, 3),
        "us_max": round(max(calls_ns) / 1e3, 1),
        "cpu_us_per_point": round(cpu_s * 1e6 / points, 3),
        "flushed_points_per_s": round(points / wall_s),
        "version": logger.version,
    }


def main() -> int:
    """Measure the contestant that is named, and print its figures as the last line."""
    name, folder, seconds, url = [*sys.argv[1:], ""][:4]
    logger = CONTESTANTS[name](folder, url)
    print(json.dumps(measure(logger, float(seconds), MOST_CALLS_OF.get(name, MOST_CALLS))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
