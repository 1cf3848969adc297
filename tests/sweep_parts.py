"""Sweeps for tests: a request, who drives it step by step, and a worker that only says what it trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from redis_db import RedisDB
from schema import Run, RunError, Status
from schema.sweeps import Sweep, SweepRequest, Trial
from sweeps import complete_request
from sweeps.driving import drive
from sweeps.ports import Store
from sweeps.study import Study
from tests.records import claim, epoch
from trainers import complete_hyper_params

SPACE: Final[dict[str, Any]] = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 128, "step": 16},
    "network": {"type": "categorical", "choices": ["small_cnn", "lenet5"]},
}


def validate(raw: dict[str, Any]) -> dict[str, Any]:
    """Complete hyper_params with the built-in trainers' own models."""
    return complete_hyper_params(raw, datasets_dir=Path("none"), default_dataset=None)


def request(**changes: Any) -> SweepRequest:
    """Return the request of a sweep of 6 trials, 2 at once, 3 epochs each; complete."""
    known: dict[str, Any] = {
        "space": SPACE,
        "hyper_params": {"num_epochs": 3, "dataset": "digits"},
        "sampler": "random",
        "limits": {"trials": 6},
        "parallel": 2,
    }
    return complete_request(SweepRequest.model_validate({**known, **changes}), validate)


def start(db: RedisDB, **changes: Any) -> Sweep:
    """Keep a new sweep."""
    return db.sweeps.create(request(**changes))


def step(store: Store, sweep: Sweep) -> Study:
    """Drive a sweep one step, as a program that has just been started."""
    study = Study(store.sweeps, sweep)
    drive(store, study, validate, lambda: False)
    return study


def trials(db: RedisDB, sweep: Sweep) -> Sequence[Trial]:
    """Return the trials of a sweep as another program reads them."""
    return Study(db.sweeps, sweep).list_trials()


def train(
    db: RedisDB,
    *,
    accuracy: float = 0.5,
    epochs: int = 3,
    co2_g: float | None = 1.0,
) -> Run:
    """Claim a run and finish it; each epoch uses 1 Wh and ``co2_g``."""
    lease = claim(db)
    for number in range(1, epochs + 1):
        reached = accuracy * number / epochs
        costs = {
            "energy_kwh": 0.001,
            "co2_g": co2_g,
            "validation_accuracy": reached,
            "test_accuracy": reached,
        }
        db.runs.record_epoch(lease, epoch(number, **costs))
    db.queue.finish(lease, Status.DONE)
    return db.runs.get(lease.run_id)


def fail(db: RedisDB) -> None:
    """Claim a run and let it fail for good."""
    error = RunError(kind="TrainingFailed", message="the loss is no longer a number")
    db.queue.finish(claim(db), Status.FAILED, error=error)


def train_all(db: RedisDB, sweep: Sweep, **how: Any) -> Sweep:
    """Drive and train until the sweep has ended."""
    while not db.sweeps.get(sweep.sweep_id).state.is_final:
        step(db, sweep)
        if db.queue.length():
            train(db, **how)
    return db.sweeps.get(sweep.sweep_id)
