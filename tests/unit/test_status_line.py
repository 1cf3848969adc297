"""One sentence says where a run stands and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api.status_line import status_line
from schema import Ahead, CarbonPlan, Requires, Run, RunError, RunOptions, Status, Worker
from schema.quotas import Hold

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(status: Status, **changes: Any) -> Run:
    known = {"run_id": "r1", "hyper_params": {}, "status": status, "time_added": NOON, "num_epochs": 10}
    return Run.model_validate(known | changes)


def worker(worker_id: str = "one-1", **changes: Any) -> Worker:
    known = {
        "worker_id": worker_id, "name": worker_id.partition("-")[0], "host": "h", "pid": 1, "device": "cpu",
        "torch": "2.13.0", "threads": 1, "queues": ("default",), "started_at": NOON, "seen_at": NOON,
    }  # fmt: skip
    return Worker.model_validate(known | changes)


def waiting(ahead: Ahead | None, *workers: Worker, **options: Any) -> str:
    waits = run(Status.WAITING, options=RunOptions.model_validate(options))
    return status_line(waits, workers=workers, ahead=ahead)


@pytest.mark.parametrize(
    ("ahead", "line"),
    [
        (Ahead(0), "waiting: the next one to be claimed"),
        (
            Ahead(0, is_exact=False),
            "waiting: the next one to be claimed, unless runs with other requirements come first",
        ),
        (Ahead(1), "waiting: 1 run before it"),
        (Ahead(3), "waiting: 3 runs before it"),
        (Ahead(250, is_exact=False), "waiting: at least 250 runs before it"),
        (None, "waiting: about to be claimed"),
    ],
)
def test_a_waiting_run_says_how_many_are_before_it(ahead: Ahead | None, line: str) -> None:
    assert waiting(ahead, worker()) == line


def test_the_queue_is_named_unless_it_is_the_default_one() -> None:
    taker = worker(queues=("gpu-a100",))
    assert waiting(Ahead(2), taker, queue="gpu-a100") == "waiting: 2 runs before it in the queue gpu-a100"
    assert waiting(Ahead(0), taker, queue="gpu-a100") == "waiting: the next one in the queue gpu-a100"


@pytest.mark.parametrize(
    ("hold", "end"),
    [
        (
            Hold("project", "vision", most=2),
            "project vision, which lets 2 runs be at work; the next may once one of them has ended",
        ),
        (
            Hold("token", "0123", most=1, frees_at=NOON),
            (
                "token 0123, which lets 1 run be at work; the next may once one of them has ended, at about "
                "2026-03-01 12:00 UTC"
            ),
        ),
        (
            Hold("project", "vision", most=0),
            "project vision, which lets none run; an admin can raise it",
        ),
    ],
)
def test_a_run_that_a_quota_holds_names_it_and_no_worker_would_help(hold: Hold, end: str) -> None:
    line = status_line(run(Status.WAITING), workers=(), ahead=Ahead(0), hold=hold)
    assert line == f"waiting: held by the quota running_runs of the {end}"


def test_without_any_worker_it_says_how_to_start_one() -> None:
    assert waiting(Ahead(0)) == "waiting: no worker is alive; start one with 'python worker.py'"
    assert waiting(Ahead(0), queue="night").endswith("start one with 'python worker.py --queues night'")


def test_a_queue_that_no_worker_takes_is_named_with_the_remedy() -> None:
    assert waiting(Ahead(0), worker(), queue="night") == (
        "waiting: no live worker takes runs of the queue night; "
        "start one with 'python worker.py --queues night'"
    )


@pytest.mark.parametrize(
    ("requires", "needs"),
    [
        (Requires(gpus=2, min_gpu_memory_gib=40), "2 GPUs with 40 GiB"),
        (Requires(gpus=1), "1 GPU"),
        (Requires(min_gpu_memory_gib=23.5), "1 GPU with 23.5 GiB"),
        (Requires(zone="SE"), "the zone SE"),
        (Requires(gpus=4, zone="SE"), "4 GPUs and the zone SE"),
    ],
)
def test_what_no_worker_has_is_named(requires: Requires, needs: str) -> None:
    small = worker(gpus=0, zone="DE")
    assert waiting(Ahead(5), small, requires=requires) == (
        f"waiting: no live worker takes runs of the queue default that need {needs}; "
        "start one on a machine that has this with 'python worker.py'"
    )


def test_a_worker_that_has_what_is_needed_is_no_obstacle() -> None:
    large = worker(gpus=2, gpu_memory_gib=80.0, zone="SE")
    requires = Requires(gpus=2, min_gpu_memory_gib=40, zone="SE")
    assert waiting(Ahead(0), worker(), large, requires=requires) == "waiting: the next one to be claimed"


def test_workers_that_are_being_drained_do_not_count() -> None:
    drained = worker(is_draining=True)
    assert waiting(Ahead(0), drained) == (
        "waiting: every live worker that takes runs of the queue default is being drained; "
        "start another one with 'python worker.py'"
    )
    assert waiting(Ahead(0), drained, worker("two-2")) == "waiting: the next one to be claimed"


def test_a_running_run_says_where_and_how_far_it_is() -> None:
    runs = run(Status.RUNNING, worker="one-1", attempt=1, epochs_done=3)
    assert status_line(runs, workers=[worker()], ahead=None) == "running on one: epoch 4 of 10"
    again = runs.model_copy(update={"attempt": 2})
    assert status_line(again, workers=[worker()], ahead=None) == "running on one: epoch 4 of 10, attempt 2"
    whole = runs.model_copy(update={"epochs_done": 10})
    assert status_line(whole, workers=[worker()], ahead=None) == (
        "running on one: all 10 epochs recorded, about to end"
    )


@pytest.mark.parametrize(
    ("request_", "line", "silent"),
    [
        ("cancel", "cancel asked for, stops at the next step", "the cancel that was asked for takes effect"),
        (
            "pause",
            "pause asked for, stops at the next step with a checkpoint",
            "the pause that was asked for",
        ),
        (
            "preempt",
            "preempt asked for, goes back to the queue at the next step",
            "another one takes the run",
        ),
    ],
)
def test_what_a_running_run_was_asked_for_is_said_until_it_is_done(
    request_: str, line: str, silent: str
) -> None:
    asked = run(Status.RUNNING, worker="one-1", attempt=1, request=request_)
    assert status_line(asked, workers=[worker()], ahead=None) == f"running: {line}"
    assert status_line(asked, workers=[], ahead=None).startswith(
        f"running: its worker one-1 is silent; {silent}"
    )


def test_a_run_whose_worker_is_silent_says_what_comes_next() -> None:
    alone = run(Status.RUNNING, worker="gone-1", attempt=1)
    assert status_line(alone, workers=[worker()], ahead=None) == (
        "running: its worker gone-1 is silent; another one takes the run once the lease has expired"
    )


def test_a_deferred_run_says_until_when_and_why() -> None:
    asked = run(Status.DEFERRED, due_at=NOON)
    assert status_line(asked, workers=[], ahead=None) == "deferred until 2026-03-01 12:00:00 UTC"
    failed = run(Status.DEFERRED, due_at=NOON, failures=2, status_reason="attempt 2 failed: OSError")
    assert status_line(failed, workers=[], ahead=None) == (
        "deferred until 2026-03-01 12:00:00 UTC after failure 2; 3 are tried again at most"
    )
    clean = run(Status.DEFERRED, status_reason="the grid is cleaner at night")
    assert status_line(clean, workers=[], ahead=None) == "deferred: the grid is cleaner at night"


PLAN = CarbonPlan.model_validate(
    {
        "made_at": NOON, "next_at": NOON, "policy": "adaptive", "method": "m", "zone": "FR", "start_at": NOON,
        "end_at": NOON, "deadline": NOON, "duration_s": 1, "duration_from": "", "reason": "Moves to FR.",
    }
)  # fmt: skip
CARBON = RunOptions.model_validate({"carbon": {"zones": ["DE", "FR"]}})


def test_a_run_that_follows_the_grid_says_why_it_does_not_wait_for_it() -> None:
    waits = run(Status.WAITING, options=CARBON, carbon=PLAN)
    taker = worker(queues=("zone-fr",))
    line = status_line(waits, workers=[taker], ahead=Ahead(1))
    assert line == "waiting: 1 run before it in the queue zone-fr. Moves to FR."
    assert "--queues zone-fr" in status_line(waits, workers=[worker()], ahead=None)
    override = waits.model_copy(update={"carbon": PLAN.model_copy(update={"is_override": True})})
    assert "Moves" not in status_line(override, workers=[taker], ahead=Ahead(1))


def test_a_run_that_is_postponed_says_why_it_stops() -> None:
    changes = {"worker": "one-1", "attempt": 1, "request": "preempt", "is_postponed": True}
    stops = run(Status.RUNNING, options=CARBON, carbon=PLAN, **changes)
    line = status_line(stops, workers=[worker()], ahead=None)
    assert line == "running, stops at the next step with a checkpoint: Moves to FR."


def test_a_paused_run_says_how_it_goes_on() -> None:
    paused = run(Status.PAUSED, paused_at=NOON)
    assert status_line(paused, workers=[], ahead=None) == (
        "paused since 2026-03-01 12:00:00 UTC: resume it to let it wait for a worker again"
    )
    assert "resume it" in status_line(run(Status.PAUSED), workers=[], ahead=None)


def test_a_failed_run_says_what_failed_in_one_short_line() -> None:
    error = RunError(kind="OSError", message="disk full\nTraceback: …")
    assert (
        status_line(run(Status.FAILED, error=error), workers=[], ahead=None) == "failed: OSError: disk full"
    )
    long = run(Status.FAILED, error=RunError(kind="E", message="x" * 4_000))
    assert len(status_line(long, workers=[], ahead=None)) < 250
    bare = run(Status.FAILED, status_reason="lost")
    assert status_line(bare, workers=[], ahead=None) == "failed: lost"
    assert status_line(run(Status.FAILED), workers=[], ahead=None) == "failed: its worker gave no reason"


def test_a_run_that_is_over_says_why_where_that_is_known() -> None:
    assert status_line(run(Status.CANCELLED), workers=[], ahead=None) == "cancelled"
    asked = run(Status.CANCELLED, status_reason="cancelled on request")
    assert status_line(asked, workers=[], ahead=None) == "cancelled on request"
    why = run(Status.CANCELLED, status_reason="its sweep ended")
    assert status_line(why, workers=[], ahead=None) == "cancelled: its sweep ended"
    early = run(Status.DONE, epochs_done=4, status_reason="the target accuracy was reached")
    assert status_line(early, workers=[], ahead=None) == (
        "done: 4 epochs trained: the target accuracy was reached"
    )
    one = run(Status.DONE, epochs_done=1)
    assert status_line(one, workers=[], ahead=None) == "done: 1 epoch trained"


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_line_that_begins_with_it(status: Status) -> None:
    assert status_line(run(status), workers=[worker()], ahead=None).startswith(status.value)
