"""A worker says what it does; one that fell silent says who has its run since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from api.handover import show_worker
from schema import Attempt, Run, Status, Worker
from tests.records import TORCH_WORKER

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(seconds=90)


def worker(**changes: Any) -> Worker:
    return TORCH_WORKER.model_copy(update={"seen_at": NOON, "run_id": "r1"} | changes)


def gone(**changes: Any) -> Worker:
    return worker(gone_at=NOON + timedelta(seconds=10), **changes)


def run(status: Status = Status.RUNNING, **changes: Any) -> Run:
    known = {
        "run_id": "r1", "hyper_params": {}, "status": status, "time_added": NOON, "num_epochs": 5,
        "attempt": 1, "epochs_done": 2,
    }  # fmt: skip
    return Run.model_validate(known | changes)


def attempts(*workers: str) -> Sequence[Attempt]:
    return [
        Attempt(attempt=number, worker=name, started_at=NOON + timedelta(seconds=number))
        for number, name in enumerate(workers, start=1)
    ]


def line(of: Worker, run: Run | None, *workers: str) -> str:
    return show_worker(of, run, attempts(*workers), NOW).status_line


def test_a_live_worker_says_what_it_trains_or_that_it_waits() -> None:
    shown = show_worker(worker(), run(), attempts("w-1"), NOW)
    assert (shown.is_live, shown.heartbeat_age_s) == (True, 90.0)
    assert shown.status_line == "trains run r1, epoch 3 of 5"
    assert shown.run is not None
    assert (shown.run.iid, shown.run.epochs_done, shown.run.num_epochs) == ("r1", 2, 5)
    assert line(worker(), run(epochs_done=5), "w-1") == "trains run r1, all 5 epochs recorded"
    assert line(worker(run_id=None), None) == "waits for a run"
    assert line(worker(), run(Status.DONE), "w-1") == "waits for a run"


def test_a_live_worker_that_lost_its_run_does_not_claim_to_train_it() -> None:
    assert line(worker(), run(attempt=2), "w-1", "w-2") == "waits for a run"


def test_a_worker_that_is_being_drained_says_when_it_ends() -> None:
    assert line(worker(is_draining=True), run(), "w-1") == (
        "trains run r1, epoch 3 of 5; it is being drained and ends after it"
    )
    assert line(worker(is_draining=True, run_id=None), None) == "ending: it is being drained and has no run"


def test_a_silent_worker_says_when_its_run_was_given_to_whom() -> None:
    shown = show_worker(gone(), run(attempt=2), attempts("w-1", "w-2"), NOW)
    assert not shown.is_live
    assert shown.status_line == (
        "silent since 2026-03-01 12:00:00 UTC; its run r1 was given to w-2 at 12:00:02 UTC"
    )
    assert shown.run is not None
    assert (shown.run.attempt, shown.run.taken_by) == (1, "w-2")
    assert shown.run.taken_at == NOON + timedelta(seconds=2)


def test_the_heir_is_the_one_after_its_own_last_attempt() -> None:
    shown = show_worker(gone(), run(attempt=4), attempts("w-0", "w-1", "w-2", "w-3"), NOW)
    assert shown.run is not None
    assert (shown.run.attempt, shown.run.taken_by) == (2, "w-2")


def test_a_run_that_nobody_has_taken_yet_says_what_it_waits_for() -> None:
    start = "silent since 2026-03-01 12:00:00 UTC; its run r1"
    assert line(gone(), run(), "w-1") == f"{start} goes to another worker once the lease has expired"
    assert line(gone(), run(Status.WAITING), "w-1") == f"{start} waits for another worker"
    assert line(gone(), run(Status.CANCELLED), "w-1") == f"{start} is cancelled"


def test_a_silent_worker_without_a_run_and_one_whose_run_was_deleted_differ() -> None:
    assert line(gone(run_id=None), None).endswith("it had no run")
    assert line(gone(), None).endswith("its run was deleted")


def test_a_clock_that_runs_backwards_makes_no_negative_age() -> None:
    assert show_worker(worker(), run(), (), NOON - timedelta(seconds=1)).heartbeat_age_s == 0.0
