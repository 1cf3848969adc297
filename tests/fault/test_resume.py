"""A run resumes where it was, and ends with the same weights, bit for bit."""

from __future__ import annotations

import dataclasses
import random
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

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw",
    "learning_rate": 0.002, "num_epochs": 12, "batch_size": 32, "seed": 3, "validation_fraction": 0.1,
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
    costs |= {"co2_g", "intensity_g_per_kwh"}
    return [result.model_dump(exclude=costs) for result in epochs]


def train_undisturbed(store: RedisDB, programs: Programs) -> str:
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    assert programs.start_worker("--burst").wait(120) == 0
    return run_id


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_weights(
    store: RedisDB, programs: Programs, tmp_path: Path, kind: signal.Signals
) -> None:
    whole = train_undisturbed(store, programs)
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    chance = random.Random(7)  # noqa: S311 - moments of a test
    seen = 0
    for _ in range(5):
        worker = programs.start_worker(lease_s=0.5, checkpoint_every_s=0)
        target = seen + chance.randint(1, 2)
        wait_until(lambda target=target: store.runs.get(run_id).epochs_done >= target)  # type: ignore[misc] # bound
        worker.send_signal(kind)
        worker.wait()
        seen = store.runs.get(run_id).epochs_done
    programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=60)

    assert without_costs(store.runs.list_epochs(run_id)) == without_costs(store.runs.list_epochs(whole))
    expected, weights = weights_of(tmp_path / "data", whole), weights_of(tmp_path / "data", run_id)
    assert expected.keys() == weights.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    run = store.runs.get(run_id)
    assert run.attempt >= 4
    assert run.environment["resume"] == "exact"
    attempts = {result.attempt for result in store.runs.list_epochs(run_id)}
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
    run_id = store.queue.submit(HYPER_PARAMS).run_id
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
