"""What everything around the training loop costs: its CPU seconds over those of the loop.

A real worker trains runs of cnn from a private Redis: 28 x 28 images from files, small_cnn, every default
hyper_param. Around the loop are the worker's parent (metering, recording, heartbeat, lease, log), the
forkserver, and what the training process does besides training: asking for requests after every step,
checking and sending results. Redis, which serves other hosts too, and checkpoints stand apart. All clocks are
read inside the training process, at the end of the first and of the last epoch (bench.timed_trainer), so that
they cover the same span; what loading the data and starting took is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.timed_trainer import Cpu
from bench.train_spec import Spec
from bench.train_variants import make_images
from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.programs import ROOT, Programs
from trainers.datasets import DATASETS

RUNS = 3
GOAL = 0.01
AROUND = ("worker_s", "forkserver_s", "sending_s")
ROWS = {
    "loop_s": "training loop",
    "worker_s": "worker: meter, recording, heartbeat, lease, log",
    "forkserver_s": "forkserver",
    "sending_s": "training process: requests, results",
    "checkpoints_s": "checkpoints (apart)",
    "redis_s": "redis-server (apart)",
}


class Scale(NamedTuple):
    """How much is trained in a run."""

    train_images: int
    test_images: int
    epochs: int


FULL, QUICK = Scale(20_000, 4_000, 10), Scale(4_000, 800, 6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shorter epochs; under 45 s")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        runs = measure(Path(folder), QUICK if options.quick else FULL, options.threads)
    show(runs)
    shares = [share_of(run) for run in runs]
    figures = {
        "instrumentation_share": round(statistics.median(shares), 5),
        "lowest": round(min(shares), 5),
        "highest": round(max(shares), 5),
        "goal": GOAL,
        "runs": len(runs),
        "seconds": round(sum(run.wall_s for run in runs), 1),
        "threads": options.threads,
        "torch": metadata.version("torch"),
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))
    return 0


def measure(folder: Path, scale: Scale, threads: int) -> list[Cpu]:
    """Return what the span of each run took."""
    server = RedisServer(folder, unix_socket=folder / "s")
    server.start()
    programs = Programs(redis_url=server.url, data_dir=folder / "data")
    try:
        write_images(folder / "data" / "datasets", scale)
        assert server.process is not None
        hyper_params: dict[str, JsonValue] = {
            "trainer": "timed",
            "dataset": "mnist",
            "num_epochs": scale.epochs,
            "redis_pid": server.process.pid,
        }
        with RedisDB(server.url) as db:
            run_ids = [db.queue.submit(hyper_params).run_id for _ in range(RUNS)]
            worker = programs.start(
                "worker.py", "--device", "cpu", "--threads", str(threads), "--burst",
                environment={"PYTHONPATH": str(ROOT / "bench" / "plugin")},
            )  # fmt: skip
            # Not asked meanwhile: every question would cost Redis time.
            worker.wait()
            return [_read(db, run_id, programs) for run_id in run_ids]
    finally:
        programs.stop()
        server.stop()


def _read(db: RedisDB, run_id: str, programs: Programs) -> Cpu:
    run = db.runs.get(run_id)
    if run.status is not Status.DONE:
        raise SystemExit(f"A run is {run.status}: {run.error and run.error.message}\n{programs.output()}")
    told = {name.removeprefix("timed_"): value for name, value in run.environment.items()}
    return Cpu(**{name: float(str(told[name])) for name in Cpu.__dataclass_fields__})


def write_images(datasets_dir: Path, scale: Scale) -> None:
    """Write enlarged digits as the files of MNIST."""
    spec = Spec("ours", 28, "fp32", "none", scale.train_images, scale.test_images, 64, "cpu")
    mnist = DATASETS["mnist"]
    files = (*mnist.train_files, *mnist.test_files)
    for file, tensor in zip(files, make_images(spec), strict=True):
        path = datasets_dir / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        array = tensor.numpy().astype(np.uint8)
        path.write_bytes(_to_idx(array[:, 0] if array.ndim > 1 else array))


def _to_idx(array: NDArray[np.uint8]) -> bytes:
    """Source: the format of http://yann.lecun.com/exdb/mnist, 8 standing for unsigned bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def share_of(run: Cpu) -> float:
    """Return the CPU seconds around the loop over those of the loop."""
    return sum(float(getattr(run, name)) for name in AROUND) / run.loop_s


def show(runs: Sequence[Cpu]) -> None:
    """Print a table of CPU seconds, and what each is of the loop's, in per cent."""
    seconds = ", ".join(f"{run.wall_s:.1f}" for run in runs)
    print(f"CPU seconds of {len(runs)} runs of {seconds} s, and their share of the loop's:")
    for name, title in ROWS.items():
        values = [float(getattr(run, name)) for run in runs]
        shares = [100 * value / run.loop_s for value, run in zip(values, runs, strict=True)]
        print(
            f"  {title:50}"
            + "".join(f"{value:9.3f} s {share:7.3f} %" for value, share in zip(values, shares, strict=True))
        )
    share = statistics.median(map(share_of, runs))
    print(f"around the loop, without what stands apart: {share:.3%} (median); the goal is below {GOAL:.0%}")


if __name__ == "__main__":
    raise SystemExit(main())
