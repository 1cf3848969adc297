"""A training with two ranks that is stopped, killed or loses one goes on or fails at once."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from pydantic import JsonValue

from redis_db import RedisDB
from schema import RunOptions, Status
from tests.fault.acts import command_of, has_ended
from tests.fault.test_resume import weights_of, without_costs
from tests.programs import Programs
from tests.programs import wait_until as wait_for_state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw", "dropout": 0.2,
    "num_epochs": 16, "batch_size": 32, "seed": 3, "gpus": 2,
}  # fmt: skip

AT_ONCE = RunOptions(max_failures=0)

# Eight processes import torch meanwhile: asked a hundred times a second, as by default, the store and this
# test take a tenth of a core from them.
wait_until = partial(wait_for_state, every_s=0.05)


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def find_ranks(pid: int) -> dict[int, psutil.Process]:
    """The ranks that work for a worker, by number."""
    ranks = [process for process in descendants(pid) if "trainers.rank " in command_of(process)]
    return {int(process.environ()["RANK"]): process for process in ranks}


def test_ranks_whose_worker_is_killed_or_stopped_end_with_it_and_resume_with_the_same_bits(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    for kind, epochs in ((signal.SIGKILL, 2), (signal.SIGTERM, 4)):
        worker = programs.start_worker(lease_s=0.5, checkpoint_every_s=0.1)
        wait_until(lambda least=epochs: store.runs.get(run_id).epochs_done >= least, timeout_s=120)  # type: ignore[misc] # bound
        theirs = descendants(worker.pid)
        assert len(find_ranks(worker.pid)) == 2
        worker.send_signal(kind)
        worker.wait()
        wait_until(lambda left=theirs: all(map(has_ended, left)), what="processes of the run")  # type: ignore[misc] # bound
        if kind is signal.SIGTERM:
            assert store.runs.get(run_id).status is Status.WAITING
    assert store.runs.get(run_id).epochs_done < 16
    whole = store.queue.submit(HYPER_PARAMS).run_id
    assert programs.start_worker("--burst", lease_s=0.5).wait(120) == 0
    assert [store.runs.get(name).status for name in (run_id, whole)] == [Status.DONE, Status.DONE]

    assert without_costs(store.runs.list_epochs(run_id)) == without_costs(store.runs.list_epochs(whole))
    expected, weights = weights_of(tmp_path / "data", whole), weights_of(tmp_path / "data", run_id)
    assert expected.keys() == weights.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    run = store.runs.get(run_id)
    assert run.environment["resume"] == "exact"
    assert run.environment["gpus"] == 2


def test_a_rank_that_dies_fails_the_run_at_once_and_takes_all_others_along(
    store: RedisDB, programs: Programs
) -> None:
    worker = programs.start_worker()
    for victim in (0, 1):
        run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 10_000}, AT_ONCE).run_id
        wait_until(lambda run_id=run_id: store.runs.get(run_id).epochs_done, timeout_s=120)  # type: ignore[misc] # bound
        ranks = find_ranks(worker.pid)
        theirs = [process for process in descendants(worker.pid) if "trainers" in command_of(process)]
        assert len(theirs) == 4, "the leash, torchrun and two ranks"

        ranks[victim].kill()

        wait_until(
            lambda run_id=run_id: store.runs.get(run_id).status is Status.FAILED,  # type: ignore[misc] # bound
            what=programs.output(),
        )
        error = store.runs.get(run_id).error
        assert error is not None
        assert error.message.startswith(f"Rank {victim} was ended by SIGKILL.")
        wait_until(lambda theirs=theirs: all(map(has_ended, theirs)))  # type: ignore[misc] # bound
    assert worker.poll() is None


@dataclass(frozen=True)
class Hung:
    """A training whose ranks hang, and who started them."""

    run_id: str
    leash: psutil.Process
    torchrun: psutil.Process
    ranks: list[psutil.Process]


def train_until_hung(store: RedisDB, worker: subprocess.Popen[bytes]) -> Hung:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 10_000}, AT_ONCE).run_id
    wait_until(lambda: store.runs.get(run_id).epochs_done, timeout_s=120)
    ranks = find_ranks(worker.pid)
    torchrun = ranks[0].parent()
    assert torchrun is not None
    leash = torchrun.parent()
    assert leash is not None
    for rank in ranks.values():
        rank.suspend()
    return Hung(run_id, leash, torchrun, list(ranks.values()))


def test_ranks_end_with_whoever_started_them_even_if_they_hang(store: RedisDB, programs: Programs) -> None:
    worker = programs.start_worker()
    for victim in ("leash", "torchrun"):
        hung = train_until_hung(store, worker)
        (hung.leash if victim == "leash" else hung.torchrun).kill()
        theirs = [hung.leash, hung.torchrun, *hung.ranks]
        wait_until(lambda theirs=theirs: all(map(has_ended, theirs)), what=victim)  # type: ignore[misc] # bound
        wait_until(
            lambda hung=hung: store.runs.get(hung.run_id).status is Status.FAILED,  # type: ignore[misc] # bound
            what=victim,
        )
        error = store.runs.get(hung.run_id).error
        assert error is not None
        assert "torchrun" in error.message
    train_until_hung(store, worker)
    theirs = descendants(worker.pid)
    worker.kill()
    worker.wait()
    wait_until(lambda: all(map(has_ended, theirs)), what="worker")
