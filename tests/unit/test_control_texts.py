"""What the pages offer and how it reads: pure, without a page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from errors import ApiRefused, ApiUnavailable
from schema import (
    DeletionReply,
    GpuState,
    Outcome,
    Requires,
    RunError,
    RunOptions,
    Status,
    WorkerReply,
    WorkerRun,
)
from tests.records import TORCH_WORKER
from tests.unit.test_tables import run
from views import actions
from views.commands import Retried
from views.look import requirement_text, status_text
from views.run import failure as run_failure
from views.run.control import deletion_text, kept_text
from views.run.page import standing
from views.runs.bulk import summarise, summarise_retries
from views.runs.table import choose_face, runs_frame
from views.submit import options as submit_options
from views.workers import card as worker_card
from views.workers import page as workers

ERROR = RunError(kind="ChildDied", message="Killed.", step=1312, epoch=3, host="gpu-1", is_retryable=True)


def worker(**changed: Any) -> WorkerReply:
    known = TORCH_WORKER.model_dump() | {"is_live": True, "heartbeat_age_s": 2.4, "status_line": "waits"}
    return WorkerReply.model_validate(known | changed)


def names(**changed: Any) -> list[str]:
    return [action.label for action in actions.offered(run(**changed))]


@pytest.mark.parametrize(
    ("status", "labels"),
    [
        (Status.WAITING, ["Pause", "High priority", "Cancel"]),
        (Status.DEFERRED, ["Start now", "Pause", "High priority", "Cancel"]),
        (Status.PAUSED, ["Resume", "High priority", "Cancel"]),
        (Status.RUNNING, ["Pause", "Give up its place", "Cancel"]),
        (Status.DONE, ["Rerun", "Delete"]),
        (Status.FAILED, ["Retry", "Rerun", "Delete"]),
        (Status.CANCELLED, ["Retry", "Rerun", "Delete"]),
    ],
)
def test_a_run_is_offered_what_makes_sense_for_its_status(status: Status, labels: list[str]) -> None:
    assert names(status=status) == labels


def test_a_wish_can_be_taken_back_but_not_that_to_cancel() -> None:
    assert names(request="pause") == ["Go on", "Cancel"]
    assert names(request="preempt") == ["Go on", "Cancel"]
    assert names(request="cancel") == []


def test_a_run_of_high_priority_can_be_made_normal() -> None:
    assert "Normal priority" in names(status=Status.WAITING, options=RunOptions(priority="high"))


def test_a_row_shows_the_status_and_what_was_asked_for() -> None:
    asked = run(request="cancel")

    assert actions.pill_words(asked) == ["running", "cancelling"]
    assert list(runs_frame([asked])[0]["status"]) == [["running", "cancelling"]]


def test_a_list_of_one_status_has_the_columns_it_is_about() -> None:
    failed = run(status=Status.FAILED, error=ERROR)
    waiting = run(status=Status.WAITING, status_line="waiting: 3 runs before it")

    table, _ = runs_frame([failed], choose_face(Status.FAILED))
    queue, _ = runs_frame([waiting], choose_face(Status.WAITING))

    assert [table[name][0] for name in ("kind", "host", "message")] == ["ChildDied", "gpu-1", "Killed."]
    assert queue["line"][0] == "3 runs before it"
    assert choose_face(None) == choose_face(Status.DONE) == "figures"


def test_the_line_of_a_run_says_what_its_pill_does_not() -> None:
    assert status_text(run(status_line="running on w: epoch 3 of 10")) == "running on w: epoch 3 of 10"
    assert standing(run(status_line="running on w: epoch 3 of 10")) is None
    assert standing(run(status_line="running: pause asked for")) == "pause asked for"
    assert standing(run(status=Status.DONE, status_reason="target reached")) == "target reached"
    assert standing(run(status=Status.FAILED, status_reason="failed", error=ERROR)) is None


def test_the_outcome_of_many_names_those_that_refused() -> None:
    good = [Outcome(iid=f"{number}" * 32, success=True) for number in range(3)]
    bad = [Outcome(iid=f"{number}" * 32, success=False, message="It is *done*.") for number in range(7)]

    assert summarise(actions.CANCEL, good) == ("3 runs cancelled.", [])
    text, lines = summarise(actions.CANCEL, [*good, *bad])
    assert text == "3 runs cancelled, 7 not:"
    assert lines[0] == r"`00000000` It is \*done\*\."
    assert lines[-1] == "and 2 runs more"


def test_files_that_a_deletion_left_are_told_with_the_whole_id() -> None:
    gone = Outcome(iid="a" * 32, success=True)
    half = Outcome(iid="b" * 32, success=True, message="no driver")
    bad = Outcome(iid="c" * 32, success=False, message="It runs")

    assert summarise(actions.DELETE, [gone, half]) == ("2 runs deleted:", [f"`{'b' * 32}` no driver"])
    text, lines = summarise(actions.DELETE, [gone, half, bad])
    assert (text, len(lines)) == ("2 runs deleted, 1 not:", 2)
    assert "b" * 32 in lines[-1]


def test_a_retry_of_all_says_what_is_done_and_what_is_not_known() -> None:
    good = [Outcome(iid="a" * 32, success=True)]
    silent, refusal = ApiUnavailable("No answer."), ApiRefused("Not now", status=503, error_code="x")

    assert summarise_retries(Retried(good, 0)) == ("1 run queued again.", [])
    assert summarise_retries(Retried(good, 7)) == ("1 run queued again.", ["7 runs still failed."])
    assert "not known" in summarise_retries(Retried(good, None))[1][0]
    assert summarise_retries(Retried([], None, refusal)) == ("None queued again:", ["Not now"])
    assert summarise_retries(Retried([], None, silent))[0] == "It is not known which runs were queued again:"
    done, lines = summarise_retries(Retried(good, None, silent))
    assert done == "1 run queued again."
    assert "it is not known which runs were queued again: The API does not answer." in lines[0]


@pytest.mark.parametrize(
    ("needs", "text"),
    [
        ({"gpus": 1}, "a GPU"),
        ({"gpus": 2, "min_gpu_memory_gib": 40}, "2 GPUs with 40 GiB each"),
        ({"min_gpu_memory_gib": 23.5}, "a GPU with 23.5 GiB"),
        ({"gpus": 4, "zone": "DE"}, "4 GPUs in zone DE"),
        ({"zone": "DE"}, "a place in zone DE"),
        ({}, "nothing special"),
    ],
)
def test_needs_read_as_words(needs: dict[str, Any], text: str) -> None:
    assert requirement_text(Requires.model_validate(needs)) == text


def test_options_read_as_sentences_in_the_reader_s_zone() -> None:
    options = RunOptions(priority="high", timeout_s=7200, start_at=datetime(2026, 1, 1, 12, tzinfo=UTC))

    text = submit_options.describe(options, ZoneInfo("Europe/Berlin"))

    assert text.startswith("It waits in queue **default**, ahead of normal runs.")
    assert "It does not start before **2026-01-01 13:00**." in text
    assert "It may train for **2\u00a0h**." in text


def test_a_deletion_lists_what_there_is() -> None:
    figures = {"epochs": 1, "attempts": 2, "log_lines": 1, "energy_kwh": 0.002, "co2_g": 1.0}
    whole = DeletionReply.model_validate({"iid": "a", "status": "done", "model_bytes": 1_500_000, **figures})

    assert deletion_text(whole) == "- 1 epoch\n- 1 line of its log\n- 2 attempts\n- its models, 1.5\u00a0MB"
    assert "2.00\u00a0Wh and 1.00\u00a0g of CO₂ stay in the totals" in kept_text(whole)
    nothing = DeletionReply(iid="a", status=Status.CANCELLED)
    reported = whole.model_copy(
        update={
            "points": 120,
            "notes": 1,
            "model_bytes": 0,
            "attempts": 0,
            "artifacts": 2,
            "artifact_bytes": 5,
        }
    )
    assert deletion_text(reported) == (
        "- 1 epoch\n- 1 line of its log\n- 120 points of its metrics\n- 1 note\n- 2 artifacts\n"
        "- its artifacts, 5\u00a0bytes"
    )
    assert deletion_text(nothing) == "- the run itself: it has left nothing else"
    assert kept_text(nothing) == "This cannot be undone."


def test_a_failure_says_where_it_was() -> None:
    facts = run_failure.describe(run(failures=2, error=ERROR), ERROR)

    assert facts == ["in epoch 3", "last step 1\u2009312", "on gpu-1", "2 failures"]
    final = ERROR.model_copy(update={"is_retryable": False})
    assert "not tried again" in run_failure.describe(run(error=final), final)[-1]


def test_a_worker_is_what_it_does_now_not_what_its_heartbeat_said() -> None:
    def has(**changed: Any) -> WorkerRun:
        known = {"iid": "a", "status": Status.RUNNING, "attempt": 1, "epochs_done": 1, "num_epochs": 3}
        return WorkerRun.model_validate(known | changed)

    assert worker_card.state(worker())[0] == "idle"
    assert worker_card.state(worker(run=has()))[0] == "busy"
    assert worker_card.state(worker(run=has(status=Status.DONE)))[0] == "idle"
    assert worker_card.state(worker(run=has(taken_by="other")))[0] == "idle"
    assert worker_card.state(worker(run=has(), is_draining=True))[0] == "draining"


def test_a_worker_is_named_by_what_it_trains_on() -> None:
    assert worker_card.title(worker()) == "w · 2 threads"
    assert worker_card.title(worker(gpu=GpuState(name="NVIDIA H200"))) == "w · NVIDIA H200"
    assert worker_card.describe(worker(torch=None, gpus=2, zone="DE")) == [
        "host", "cpu", "2 GPUs", "zone DE", "without torch", "pid 42",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("age_s", "text"), [(0.4, "just now"), (2.4, "2\u00a0s ago"), (125, "2\u00a0min\u00a005\u00a0s ago")]
)
def test_the_age_of_a_heartbeat_is_in_whole_seconds(age_s: float, text: str) -> None:
    assert worker_card.age(age_s) == text


def test_the_power_of_all_workers_says_what_it_leaves_out() -> None:
    assert (
        workers.summary([worker(power_w=140.4), worker(power_w=76)])
        == "**2** workers, 0 busy · 216 W together"
    )
    assert workers.summary([worker(power_w=140.4), worker()]).endswith(
        "140 W together, without 1 of unknown power"
    )
    assert workers.summary([worker()]) == "**1** worker, 0 busy"
