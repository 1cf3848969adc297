"""A run resumes where it was, and ends with the same weights, bit for bit."""

from __future__ import annotations

import dataclasses
import math
import random
import re
import signal
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue
from safetensors.torch import load_file

from redis_db import RedisDB
from schema import EpochResult, Status
from tests.programs import Programs, wait_until
from trainers.checkpoints import open_checkpoints
from trainers.saved_models import MODEL_FILE
from trainers.training import State

pytestmark = pytest.mark.slow

BATCH_SIZE, STEPS_PER_EPOCH, NUM_EPOCHS, STOPS = 32, 41, 4, 5
HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw",
    "learning_rate": 0.002, "num_epochs": NUM_EPOCHS, "batch_size": BATCH_SIZE,
    "seed": 3, "validation_fraction": 0.1,
}  # fmt: skip


def weights_of(data_dir: Path, run_id: str) -> dict[str, torch.Tensor]:
    """The network after the last epoch, which the last model holds."""
    weights: dict[str, torch.Tensor] = load_file(data_dir / "models" / run_id / "last" / MODEL_FILE)
    return weights


def without_costs(epochs: list[EpochResult]) -> list[dict[str, object]]:
    costs = {
        "duration_s",
        "attempt",
        *(name for name in EpochResult.model_fields if name.startswith("energy_")),
    }
    costs |= {"co2_g", "co2_reason", "intensity_g_per_kwh", "ended_at", "resumed_after_s"}
    return [result.model_dump(exclude=costs) for result in epochs]


def newest_step(data_dir: Path, run_id: str) -> int:
    """The step of the newest checkpoint; 0 without one."""
    names = (path.name for path in (data_dir / "checkpoints" / run_id).glob("step-*"))
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def resumed_after(store: RedisDB, run_id: str) -> list[int]:
    """The steps after which the attempts at a run went on, as its log tells them."""
    found = (
        re.search(r"resumes in epoch \d+ after (\d+) steps", line.text) for line in store.log.list(run_id)
    )
    return [int(match[1]) for match in found if match]


def stop_after(
    store: RedisDB,
    programs: Programs,
    data_dir: Path,
    run_id: str,
    kind: signal.Signals,
    *,
    target: int,
    count: int,
) -> None:
    """Have a worker go on with the run, and stop it once it has checkpointed the step ``target``."""
    worker = programs.start_worker(lease_s=0.5, checkpoint_every_s=0)
    target = max(target, newest_step(data_dir, run_id) + 1)
    wait_until(lambda: newest_step(data_dir, run_id) >= target)
    # A line of the log is the parent's to write: a child may be killed some steps before it is.
    wait_until(lambda: len(resumed_after(store, run_id)) >= count)
    worker.send_signal(kind)
    worker.wait()


# A run survives five lost leases, so ten kills take two runs.
@pytest.mark.timeout(400)  # seven trainings and six workers, on a machine that may be busy
@pytest.mark.parametrize(("kind", "draw"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGTERM, 3)])
def test_a_run_that_is_stopped_at_random_steps_ends_with_the_same_weights(
    store: RedisDB, programs: Programs, tmp_path: Path, kind: signal.Signals, draw: int
) -> None:
    data_dir = tmp_path / "data"
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    chance = random.Random(draw)  # noqa: S311 - moments of a test
    targets = sorted(chance.sample(range(1, STEPS_PER_EPOCH * (NUM_EPOCHS - 1)), STOPS))
    for count, target in enumerate(targets):
        stop_after(store, programs, data_dir, run_id, kind, target=target, count=count)
    whole = store.queue.submit(HYPER_PARAMS).run_id
    assert programs.start_worker("--burst", lease_s=0.5).wait(120) == 0
    assert [store.runs.get(name).status for name in (run_id, whole)] == [Status.DONE, Status.DONE]
    train_images = int(str(store.runs.get(whole).environment["train_images"]))
    assert math.ceil(train_images / BATCH_SIZE) == STEPS_PER_EPOCH

    stops = resumed_after(store, run_id)
    assert len(set(stops)) == STOPS
    assert sum(step % STEPS_PER_EPOCH != 0 for step in stops) >= STOPS - 1  # inside epochs
    assert without_costs(store.runs.list_epochs(run_id)) == without_costs(store.runs.list_epochs(whole))
    expected, weights = weights_of(data_dir, whole), weights_of(data_dir, run_id)
    assert expected.keys() == weights.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    run = store.runs.get(run_id)
    assert run.attempt == STOPS + 1
    assert run.environment["resume"] == "exact"
    *stopped, last = store.runs.list_attempts(run_id)
    if kind is signal.SIGTERM:
        # Also of an attempt that did not come to the end of one epoch: its worker lived to read the meter.
        assert run.energy_kwh == pytest.approx(sum(attempt.energy_kwh or 0 for attempt in (*stopped, last)))
        assert all(attempt.energy_kwh and attempt.energy_reason is None for attempt in stopped)
    else:
        assert all(attempt.energy_reason for attempt in stopped)
    assert last.energy_reason is None
    epochs = store.runs.list_epochs(run_id)
    assert all((result.resumed_after_s or 0) < result.duration_s for result in epochs)
    assert any(result.resumed_after_s for result in epochs)
    attempts = {result.attempt for result in epochs}
    assert len(attempts) > 1  # epochs of earlier attempts were kept, not trained again


def test_every_part_of_the_state_is_in_the_checkpoint(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    worker = programs.start_worker()
    wait_until(lambda: store.runs.get(run_id).epochs_done >= 1)
    worker.terminate()
    worker.wait()
    newest = open_checkpoints(str(tmp_path / "data" / "checkpoints"), run_id).find_newest()
    assert newest is not None
    assert set(newest.state["trainer"]["state"]) == {field.name for field in dataclasses.fields(State)}


def test_a_host_without_the_checkpoint_starts_again_and_says_so(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 20}).run_id
    victim = programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).epochs_done >= 2)
    victim.kill()
    victim.wait()

    programs.start_worker(lease_s=0.5, checkpoint_url=str(tmp_path / "elsewhere"))
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=60)

    assert {result.attempt for result in store.runs.list_epochs(run_id)} == {2}
    assert any("no checkpoint" in line.text for line in store.log.list(run_id))


def test_a_run_that_would_exceed_its_budget_is_done_with_the_reason(
    store: RedisDB, programs: Programs
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 500, "max_duration_s": 0.3}).run_id
    assert programs.start_worker("--burst").wait(60) == 0

    run = store.runs.get(run_id)
    assert run.status is Status.DONE
    assert 1 <= run.epochs_done < 500
    assert "max_duration_s" in (run.status_reason or "")
