"""A run whose worker is the test: its epochs arrive exactly when the test says so."""

from __future__ import annotations

import math
import uuid

from pydantic import JsonValue

from redis_db import RedisDB
from schema import EpochResult, Lease, RunError, RunOptions, Status
from schema.records import EnergyQuality

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn",
    "network": "small_cnn",
    "dataset": "digits",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "num_epochs": 20,
    "batch_size": 64,
    "seed": 0,
}


class ActedRun:
    """A claimed run in a queue of its own, which no worker serves."""

    def __init__(self, db: RedisDB, *, num_epochs: int = 20, **changed: JsonValue) -> None:
        self._db = db
        queue = f"acted-{uuid.uuid4().hex[:8]}"
        run = db.queue.submit(HYPER_PARAMS | {"num_epochs": num_epochs} | changed, RunOptions(queue=queue))
        self.run_id = run.run_id
        lease = db.queue.claim([queue], worker_id=f"the test of {queue}", lease_s=3600)
        assert lease is not None
        self.lease: Lease = lease
        self.epochs = 0

    def record(self, count: int = 1, *, quality: EnergyQuality | None = "estimated") -> None:
        """Record the next epochs; without a quality their energy is unknown."""
        for epoch in range(self.epochs + 1, self.epochs + count + 1):
            energy_kwh = None if quality is None else 3e-6 + 1e-7 * math.sin(epoch)
            self._db.runs.record_epoch(
                self.lease,
                EpochResult(
                    epoch=epoch,
                    train_loss=2.3 * math.exp(-epoch / 5),
                    train_accuracy=1 - 0.9 * math.exp(-epoch / 4),
                    test_loss=2.3 * math.exp(-epoch / 5) + 0.05,
                    test_accuracy=1 - 0.9 * math.exp(-epoch / 4) - 0.01,
                    duration_s=0.8,
                    attempt=self.lease.attempt,
                    energy_kwh=energy_kwh,
                    energy_quality=quality,
                    energy_reason=None if quality else "no meter on this host could be read",
                    co2_g=None if energy_kwh is None else energy_kwh * 385,
                    intensity_g_per_kwh=385,
                ),
            )
        self.epochs += count

    def finish(self, error: RunError | None = None) -> None:
        """End it, with an error if it failed."""
        self._db.queue.finish(self.lease, Status.FAILED if error else Status.DONE, error=error)
