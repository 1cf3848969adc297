"""A killed worker loses no model: the best one is that of the undisturbed run, bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue
from safetensors.torch import load_file

from redis_db import RedisDB
from schema import DEFAULT_QUEUE, Status
from tests.fault.acts import child_of, has_ended
from tests.programs import Programs, wait_until
from tests.saved import save_models
from trainers.cards import Card
from trainers.saved_models import CARD_FILE, MODEL_FILE

pytestmark = pytest.mark.slow

# A learning rate so high that the best epoch comes long before the last one.
HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw",
    "learning_rate": 0.01, "num_epochs": 12, "batch_size": 32, "seed": 1, "validation_fraction": 0.1,
}  # fmt: skip


def card_of(models_dir: Path, run_id: str, name: str) -> Card:
    return Card.model_validate_json((models_dir / run_id / name / CARD_FILE).read_bytes())


def load_model(models_dir: Path, run_id: str, name: str) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_file(models_dir / run_id / name / MODEL_FILE)
    return weights


def test_the_best_model_survives_a_worker_that_is_killed_after_the_best_epoch(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    models_dir = tmp_path / "data" / "models"
    whole = store.queue.submit(HYPER_PARAMS).run_id
    assert programs.start_worker("--burst").wait(120) == 0
    expected = card_of(models_dir, whole, "best")
    assert expected.epoch <= 9, "the kill has to come between the best epoch and the last"

    run_id = store.queue.submit(HYPER_PARAMS).run_id
    victim = programs.start_worker(lease_s=0.5, checkpoint_every_s=0)
    wait_until(lambda: store.runs.get(run_id).epochs_done > expected.epoch)
    victim.kill()
    victim.wait()
    assert not (models_dir / run_id).exists()
    assert (tmp_path / "data" / "checkpoints" / run_id).exists()
    programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=60)

    assert store.runs.get(run_id).attempt == 2
    first_epoch_of_second = min(
        result.epoch for result in store.runs.list_epochs(run_id) if result.attempt == 2
    )
    assert first_epoch_of_second > expected.epoch
    card = card_of(models_dir, run_id, "best")
    assert (card.epoch, card.metrics) == (expected.epoch, expected.metrics)
    # The card is completed and the checkpoints are deleted, in this order, once the run is recorded.
    wait_until(lambda: not (tmp_path / "data" / "checkpoints" / run_id).exists())
    assert card_of(models_dir, run_id, "best").duration_s == store.runs.get(run_id).duration_s
    for name in ("best", "last"):
        one, other = load_model(models_dir, whole, name), load_model(models_dir, run_id, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(other[key], tensor) for key, tensor in one.items())


def test_a_run_that_starts_again_replaces_the_models_of_the_attempt_before(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    models_dir = tmp_path / "data" / "models"
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 2}).run_id
    left = models_dir / run_id / "best"
    left.mkdir(parents=True)
    (left / MODEL_FILE).write_bytes(b"of an attempt that nobody resumes")
    assert programs.start_worker("--burst").wait(120) == 0
    assert card_of(models_dir, run_id, "best").epoch <= 2
    assert load_model(models_dir, run_id, "best")


def test_a_failed_run_keeps_its_checkpoints_and_a_run_ended_by_its_budget_has_models(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    failing = store.queue.submit({**HYPER_PARAMS, "optimizer": "sgd", "learning_rate": 9.0}).run_id
    cut = store.queue.submit({**HYPER_PARAMS, "num_epochs": 500, "max_duration_s": 0.3}).run_id
    assert programs.start_worker("--burst", checkpoint_every_s=0).wait(120) == 0

    assert store.runs.get(failing).status is Status.FAILED
    assert (tmp_path / "data" / "checkpoints" / failing).exists()
    models_dir = tmp_path / "data" / "models"
    assert not (models_dir / failing).exists()
    done = store.runs.get(cut)
    assert done.status is Status.DONE
    assert card_of(models_dir, cut, "last").epoch == done.epochs_done >= 1
    assert not (tmp_path / "data" / "checkpoints" / cut).exists()


@pytest.mark.parametrize("name", ["model", "checkpoint"])
def test_a_place_without_a_driver_is_refused_when_the_worker_starts(programs: Programs, name: str) -> None:
    setting = f"WATTLE_{name.upper()}_URL"
    worker = programs.start(
        "worker.py", "--device", "cpu", "--burst", environment={setting: "nosuch://place"}
    )
    assert worker.wait(60) == 2
    assert f"{setting} cannot be opened" in programs.output()


def test_models_of_an_earlier_attempt_cost_no_checkpoint(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit({"trainer": "sleepy", "num_epochs": 1}).run_id
    save_models(tmp_path / "data" / "models", run_id)
    checkpoint = tmp_path / "data" / "checkpoints" / run_id / "step-000000000005"
    checkpoint.mkdir(parents=True)
    card = card_of(tmp_path / "data" / "models", run_id, "best")
    assert programs.start_worker("--burst").wait(60) == 0
    assert store.runs.get(run_id).status is Status.DONE
    assert checkpoint.exists()
    assert card_of(tmp_path / "data" / "models", run_id, "best") == card


def test_checkpoints_in_the_place_of_the_models_are_deleted_without_them(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 1}).run_id
    place = tmp_path / "data" / "checkpoints"
    worker = programs.start(
        "worker.py", "--device", "cpu", "--threads", "1", "--burst", checkpoint_url=place, model_url=place
    )
    assert worker.wait(120) == 0
    assert sorted(path.name for path in (place / run_id).iterdir()) == ["best", "last"]
    assert card_of(place, run_id, "best").duration_s == store.runs.get(run_id).duration_s


def test_a_place_slower_than_the_lease_costs_no_run(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 1}).run_id
    options = ("worker.py", "--device", "cpu", "--threads", "1")
    slow = f"slowcards://{tmp_path / 'slow'}"
    worker = programs.start(*options, "--burst", lease_s=0.5, model_url=slow)
    wait_until(lambda: store.runs.get(run_id).status is Status.RUNNING)
    programs.start(*options, lease_s=0.5, model_url=slow)
    assert worker.wait(120) == 0
    run = store.runs.get(run_id)
    assert (run.status, run.attempt) == (Status.DONE, 1)
    assert card_of(tmp_path / "slow", run_id, "last").duration_s == run.duration_s


def reap(store: RedisDB, run_id: str) -> None:
    """Take the run from its worker, whose lease expires."""
    wait_until(lambda: store.queue.requeue_expired(grace_s=0.1) == [run_id])


def test_a_worker_that_has_lost_the_run_writes_no_model_and_leaves_cards_and_checkpoints_alone(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 1}).run_id
    options = ("worker.py", "--device", "cpu", "--threads", "1", "--burst")
    stale = programs.start(*options, lease_s=0.5, model_url=f"slowcards://{tmp_path / 'slow'}")
    models_dir = tmp_path / "slow"
    wait_until((models_dir / run_id / "best" / MODEL_FILE).exists, timeout_s=60)
    child = child_of(stale)
    stale.send_signal(signal.SIGSTOP)  # its child goes on with what it has begun
    wait_until((models_dir / run_id / "best" / CARD_FILE).exists)
    reap(store, run_id)
    assert store.queue.claim([DEFAULT_QUEUE], worker_id="the test", lease_s=3600) is not None
    polls = child.num_ctx_switches().voluntary + 20
    wait_until(lambda: has_ended(child) or child.num_ctx_switches().voluntary > polls)  # it waits, or has not

    stale.send_signal(signal.SIGCONT)
    assert stale.wait(60) == 0

    assert "lease lost" in programs.output()
    assert not (models_dir / run_id / "last").exists()
    assert card_of(models_dir, run_id, "best").duration_s is None
    assert list((tmp_path / "data" / "checkpoints" / run_id).iterdir())


def test_a_worker_killed_between_its_finish_and_its_files_leaves_them_to_the_next(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 1}).run_id
    options = ("worker.py", "--device", "cpu", "--threads", "1")
    models_dir, checkpoints = tmp_path / "slow", tmp_path / "data" / "checkpoints" / run_id
    victim = programs.start(*options, model_url=f"slowcards://{models_dir}")
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=60)
    victim.kill()  # the first card takes 1.5 s
    victim.wait()
    assert card_of(models_dir, run_id, "best").duration_s is None
    assert list(checkpoints.iterdir())

    assert programs.start(*options, "--burst", model_url=str(models_dir)).wait(60) == 0

    run = store.runs.get(run_id)
    assert (run.status, run.attempt) == (Status.DONE, 1)
    assert [card_of(models_dir, run_id, name).duration_s for name in ("best", "last")] == [run.duration_s] * 2
    assert not checkpoints.exists()
    assert list((tmp_path / "data" / "spool").iterdir()) == []
    texts = [line.text for line in store.log.list(run_id)]
    assert len(texts) == len(set(texts))
