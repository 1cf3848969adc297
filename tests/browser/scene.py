"""A store with something of everything, made on the spot: trained, failed, reported, simulated."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from sklearn.datasets import load_digits

from schema import RunOptions, Status
from schema.alerts import Condition, RuleRequest, RunFailed, RunFinished
from settings import Settings
from tests.acted_run import ActedRun
from tests.browser.conftest import Stack
from tests.browser.places import Scenery
from tests.browser.scene_marks import archive, await_sweep, guard, mark, sweep
from tests.programs import ROOT, wait_until
from training_monitor import TrainingMonitor
from work.seed_demo import seed

HOUR: Final = timedelta(hours=1)
MODEL: Final = "digits-softmax"
SIMULATED: Final = 40
TRAINING_TIMEOUT_S: Final = 240
_TRAINED: Final[tuple[dict[str, Any], ...]] = (
    {"network": "small_cnn", "optimizer": "adam", "learning_rate": 0.002, "num_epochs": 8},
    {"network": "small_cnn", "optimizer": "sgd", "learning_rate": 0.05, "num_epochs": 8},
    {"network": "lenet5", "optimizer": "adam", "learning_rate": 0.002, "num_epochs": 8},
    {"network": "lenet5", "optimizer": "adam", "learning_rate": 0.002, "num_epochs": 8, "seed": 1},
    {"network": "resnet9", "optimizer": "adamw", "learning_rate": 0.002, "num_epochs": 3},
    {"network": "lenet5", "optimizer": "sgd", "learning_rate": 0.05, "num_epochs": 20},
)


def write_grid(path: Path) -> None:
    """Write ten days of a grid with sun at noon and wind that comes and goes, and three days ahead."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def intensity(at: datetime) -> float:
        sun = max(0.0, math.sin((at.hour - 6) / 12 * math.pi))
        wind = math.sin(at.timestamp() / 3600 / 31)
        return round(420 - 190 * sun - 80 * wind, 1)

    region = {
        name: [
            {"timestamp": (hour + n * HOUR).isoformat(), "carbon_intensity": intensity(hour + n * HOUR)}
            for n in hours
        ]
        for name, hours in (("historical", range(-240, 1)), ("forecast", range(72)))
    }
    path.write_text(json.dumps({"regions": {"DE": region}}))


def fill(stack: Stack, folder: Path, *, trained: int = len(_TRAINED)) -> Scenery:
    """Let so many runs train, others fail, wait and be reported; returns when those that end have ended."""
    _prepare(stack)
    training = [
        stack.api.submit(
            {"dataset": "digits", **params}, options=RunOptions(project="digits", tags=("paper",))
        )
        for params in _TRAINED[:trained]
    ]
    failed = stack.api.submit({"dataset": "cifar10", "num_epochs": 3}, options=RunOptions(max_failures=0))
    waiting = stack.api.submit({"num_epochs": 3}, options=RunOptions(queue="gpu"))
    seed(stack.db, Settings(_env_file=None, data_dir=folder), count=SIMULATED, say=lambda *_: None)
    running = ActedRun(stack.db, network="resnet9")
    running.record(7)
    script = report(stack.api.api_url, folder)
    send_batches(stack)
    simulated, archived = [run.run_id for run in stack.db.runs.list().runs if run.simulated][:2]
    archive(stack, archived)
    ending = [run.iid for run in (*training, failed)]
    mark(stack, [run.iid for run in training])
    wait_until(
        lambda: all(stack.db.runs.get(iid).status.is_final for iid in ending),
        timeout_s=TRAINING_TIMEOUT_S,
        what=stack.programs.output(),
        every_s=0.2,
    )
    sweep_id = sweep(stack, trials=2 * trained)
    await_sweep(stack, sweep_id)
    assert stack.db.runs.get(waiting.iid).status is Status.WAITING
    assert stack.db.runs.get(failed.iid).status is Status.FAILED
    return Scenery(
        done=[run.iid for run in training],
        running=running.run_id,
        failed=failed.iid,
        script=script,
        simulated=simulated,
        archived=archived,
        model=MODEL,
        sweep=sweep_id,
    )


def _prepare(stack: Stack) -> None:
    guard(stack)
    rules: tuple[tuple[str, Condition], ...] = (
        ("A run has failed", RunFailed(kind="run_failed")),
        ("A run is done", RunFinished(kind="run_finished")),
    )
    for name, condition in rules:
        stack.api.add_rule(RuleRequest(name=name, condition=condition))


def send_batches(stack: Stack) -> None:
    """Show something on the live page, as the example for users does."""
    told = {"DASHBOARD_RPC_URL": f"{stack.api.api_url}/rpc/batch_update", "TOTAL_ITERATIONS": "80"}
    example = [sys.executable, str(ROOT / "examples" / "training_client.py")]
    subprocess.run(example, env={**os.environ, **told}, check=True, timeout=TRAINING_TIMEOUT_S)


def report(api_url: str, folder: Path) -> str:
    """Train a softmax on digits as a user's script would, reporting through the SDK; return the run's id."""
    found = load_digits()
    images, labels = found.data / 16, found.target
    weights = np.zeros((64, 10))
    with TrainingMonitor(
        experiment_name="softmax_by_hand",
        project_name="digits",
        params={"learning_rate": 0.5, "optimizer": {"name": "sgd", "momentum": 0.0}},
        tags=("numpy",),
        api_url=api_url,
        spool_dir=folder / "spool",
    ) as monitor:
        for epoch in range(12):
            for start in range(0, 1440, 96):
                x, y = images[start : start + 96], labels[start : start + 96]
                weights -= 0.5 * x.T @ (_softmax(x @ weights) - np.eye(10)[y]) / len(x)
            probability = _softmax(images[1440:] @ weights)
            guess, truth = probability.argmax(1), labels[1440:]
            loss = -float(np.log(probability[np.arange(len(truth)), truth]).mean())
            monitor.log_metrics({"val_loss": loss, "val_accuracy": float((guess == truth).mean())}, epoch)
            monitor.log_histogram("weights", weights, epoch)
            confusion = np.zeros((10, 10), dtype=np.int64)
            np.add.at(confusion, (truth, guess), 1)
            monitor.log_image("confusion", confusion, epoch)
            monitor.log_text(f"epoch {epoch}: loss {loss:.4f}")
        state = {"softmax.weight": torch.from_numpy(weights.T.copy()).float()}
        monitor.save_checkpoint(state, 11, {"val_accuracy": float((guess == truth).mean())})
        monitor.log_graph(
            torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), torch.zeros(1, 8, 8)
        )
        monitor.register_model(MODEL)
        monitor.add_note("Trained without a framework, to see what 640 weights can do.")
    assert monitor.run_id is not None
    return monitor.run_id


def _softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
