"""A training with two ranks that is stopped, killed or loses one goes on or fails at once."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import torch
from pydantic import JsonValue

from redis_db import RedisDB
from schema import RunOptions, Status
from tests.fault.test_resume import weights_of, without_costs
from tests.programs import Programs, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw", "dropout": 0.2,
    "num_epochs": 30, "batch_size": 32, "seed": 3, "gpus": 2,
}  # fmt: skip

AT_ONCE = RunOptions(max_failures=0)


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def find_ranks(pid: int) -> dict[int, psutil.Process]:
    """The ranks that work for a worker, by number."""
    ranks = [process for process in descendants(pid) if "trainers.rank" in process.cmdline()]
    return {int(process.environ()["RANK"]): process for process in ranks}


def has_ended(processes: list[psutil.Process]) -> bool:
    # A zombie has ended, but whoever adopted it has not asked yet.
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


def test_ranks_whose_worker_is_killed_or_stopped_end_with_it_and_resume_with_the_same_bits(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    whole = store.queue.submit(HYPER_PARAMS).run_id
    assert programs.start_worker("--burst").wait(120) == 0
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    for kind, epochs in ((signal.SIGKILL, 3), (signal.SIGTERM, 6)):
        worker = programs.start_worker(lease_s=0.5, checkpoint_every_s=0.1)
        wait_until(lambda least=epochs: store.runs.get(run_id).epochs_done >= least, timeout_s=60)  # type: ignore[misc] # bound
        theirs = descendants(worker.pid)
        assert len(find_ranks(worker.pid)) == 2
        worker.send_signal(kind)
        worker.wait()
        wait_until(lambda left=theirs: has_ended(left), what="processes of the run")  # type: ignore[misc] # bound
        if kind is signal.SIGTERM:
            assert store.runs.get(run_id).status is Status.WAITING
    assert store.runs.get(run_id).epochs_done < 30
    programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=60)

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
        wait_until(lambda run_id=run_id: store.runs.get(run_id).epochs_done, timeout_s=60)  # type: ignore[misc] # bound
        ranks = find_ranks(worker.pid)
        theirs = [process for process in descendants(worker.pid) if "trainers" in " ".join(process.cmdline())]
        assert len(theirs) == 4, "the leash, torchrun and two ranks"

        ranks[victim].kill()

        wait_until(
            lambda run_id=run_id: store.runs.get(run_id).status is Status.FAILED,  # type: ignore[misc] # bound
            what=programs.output(),
        )
        error = store.runs.get(run_id).error
        assert error is not None
        assert error.message.startswith(f"Rank {victim} was ended by SIGKILL.")
        wait_until(lambda theirs=theirs: has_ended(theirs))  # type: ignore[misc] # bound
    assert worker.poll() is None


@pytest.mark.parametrize("victim", ["worker", "leash", "torchrun"])
def test_ranks_end_with_whoever_started_them_even_if_they_hang(
    store: RedisDB, programs: Programs, victim: str
) -> None:
    worker = programs.start_worker()
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 10_000}, AT_ONCE).run_id
    wait_until(lambda: store.runs.get(run_id).epochs_done, timeout_s=60)
    theirs = descendants(worker.pid)
    ranks = find_ranks(worker.pid)
    torchrun = ranks[0].parent()
    assert torchrun is not None
    leash = torchrun.parent()
    assert leash is not None
    for rank in ranks.values():
        rank.suspend()

    {"worker": psutil.Process(worker.pid), "leash": leash, "torchrun": torchrun}[victim].kill()

    if victim == "worker":
        worker.wait()
        wait_until(lambda: has_ended(theirs))
        return
    wait_until(lambda: has_ended([leash, torchrun, *ranks.values()]))
    wait_until(lambda: store.runs.get(run_id).status is Status.FAILED)
    error = store.runs.get(run_id).error
    assert error is not None
    assert "torchrun" in error.message
