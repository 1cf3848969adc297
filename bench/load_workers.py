"""Simulated workers: everything a worker asks of the store, and no training.

    python -m bench.load_workers REDIS_URL WORKERS BEAT_S EPOCH_S

Each beats and renews its lease every BEAT_S, records an epoch every EPOCH_S, and after EPOCHS of them ends
its run and claims the next. It prints a line once all hold a run, begins to count with a line on its input,
and prints what it counted as JSON after the next one.
"""

from __future__ import annotations

import heapq
import json
import platform
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from errors import WattleError
from redis_db import RedisDB
from schema import EpochResult, Lease, Status, Worker

EPOCHS: Final = 12
LEASE_S: Final = 15.0
THREADS: Final = 8
QUEUES: Final = ("default",)


@dataclass
class Count:
    """What one thread did; replaced as a whole when counting begins."""

    beats: int = 0
    epochs: int = 0
    runs: int = 0
    errors: list[str] = field(default_factory=list)
    late_s: float = 0.0


class SimulatedWorker:
    """One worker, whose thread calls it when something is due."""

    def __init__(self, db: RedisDB, number: int, *, beat_s: float, epoch_s: float) -> None:
        now = datetime.now(UTC)
        self._db, self._beat_s, self._epoch_s = db, beat_s, epoch_s
        self._chance = random.Random(number)  # noqa: S311 - figures, not secrets
        self._worker = Worker(
            worker_id=f"load-{number:04}",
            name=f"load-{number:04}",
            host=f"{platform.node()}-{number // 8}",
            pid=1,
            device="cuda:0",
            torch="2.13.0",
            threads=4,
            gpus=1,
            gpu_memory_gib=80.0,
            zone="DE",
            queues=QUEUES,
            started_at=now,
            seen_at=now,
        )
        self.lease: Lease | None = None
        self.epoch = 0

    @property
    def is_busy(self) -> bool:
        """Whether it holds a run."""
        return self.lease is not None

    def begin(self) -> Iterator[tuple[float, str]]:
        """Claim a run, and say what is due first, spread over time: hosts do not beat in step."""
        self._claim()
        self.epoch = self._chance.randrange(EPOCHS)
        yield self._chance.uniform(0, self._beat_s), "beat"
        yield self._chance.uniform(0, self._epoch_s), "epoch"

    def act(self, what: str, count: Count) -> float:
        """Do what is due, and say after how many seconds it is again."""
        if what == "beat":
            self._beat()
            count.beats += 1
            return self._beat_s
        self._train(count)
        return self._epoch_s

    def _beat(self) -> None:
        if self.lease is None:
            self._claim()
        else:
            self._db.queue.renew(self.lease, lease_s=LEASE_S)
        live = {"run_id": self.lease and self.lease.run_id, "epoch": self.epoch, "power_w": 250.0}
        self._db.workers.beat(self._worker.model_copy(update=live), ttl_s=LEASE_S)

    def _claim(self) -> None:
        worker_id = self._worker.worker_id
        self.lease = self._db.queue.claim(QUEUES, worker_id=worker_id, lease_s=LEASE_S)
        self.epoch = 0

    def _train(self, count: Count) -> None:
        if self.lease is None:
            return
        self.epoch += 1
        self._db.runs.record_epoch(self.lease, self._result())
        count.epochs += 1
        if self.epoch >= EPOCHS:
            self._db.queue.finish(self.lease, Status.DONE)
            count.runs += 1
            self._claim()

    def _result(self) -> EpochResult:
        accuracy = 1 - 0.9 ** (self.epoch + 1)
        return EpochResult(
            epoch=self.epoch,
            train_loss=1 - accuracy,
            train_accuracy=accuracy,
            test_loss=1 - accuracy,
            test_accuracy=accuracy,
            duration_s=self._epoch_s,
            energy_kwh=250 * self._epoch_s / 3.6e6,
            energy_quality="measured",
            co2_g=0.1,
            ended_at=datetime.now(UTC).replace(microsecond=0),
        )


class Crew:
    """The workers of one thread."""

    def __init__(self, workers: list[SimulatedWorker]) -> None:
        self.count = Count()
        self._workers = workers
        self._due: list[tuple[float, int, str]] = []

    def claim(self) -> None:
        """Let each claim its first run."""
        now_s = time.monotonic()
        for place, worker in enumerate(self._workers):
            self._due += [(now_s + after_s, place, what) for after_s, what in worker.begin()]
        heapq.heapify(self._due)

    def work(self, stop: threading.Event) -> None:
        """Do what is due, in the order in which it is."""
        while not stop.is_set():
            due_s, place, what = self._due[0]
            if (left_s := due_s - time.monotonic()) > 0:
                stop.wait(min(left_s, 0.2))
                continue
            count = self.count
            count.late_s = max(count.late_s, -left_s)
            try:
                again_s = self._workers[place].act(what, count)
            except WattleError as error:
                count.errors.append(f"{what}: {error}")
                again_s = 1.0
            heapq.heapreplace(self._due, (due_s + again_s, place, what))


def main(url: str, workers: int, beat_s: float, epoch_s: float) -> dict[str, Any]:
    """Simulate until told to stop."""
    with RedisDB(url) as db:
        simulated = [SimulatedWorker(db, n, beat_s=beat_s, epoch_s=epoch_s) for n in range(workers)]
        crews = [Crew(simulated[n::THREADS]) for n in range(min(THREADS, workers))]
        for crew in crews:
            crew.claim()
        stop = threading.Event()
        threads = [threading.Thread(target=crew.work, args=[stop]) for crew in crews]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        sys.stdin.readline()
        for crew in crews:
            crew.count = Count()
        print("counting", flush=True)
        sys.stdin.readline()
        stop.set()
        for thread in threads:
            thread.join()
    errors = [error for crew in crews for error in crew.count.errors]
    return {
        "beats": sum(crew.count.beats for crew in crews),
        "epochs": sum(crew.count.epochs for crew in crews),
        "runs_done": sum(crew.count.runs for crew in crews),
        "busy": sum(worker.is_busy for worker in simulated),
        "latest_s": round(max(crew.count.late_s for crew in crews), 3),
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))), flush=True)
    sys.stdin.read()
