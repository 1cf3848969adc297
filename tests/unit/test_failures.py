"""A failed run explains itself: what, where, how far, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api.failures import explain
from schema import Run, RunError, Status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def failed(error: RunError | None, attempt: int = 2) -> Run:
    return Run(
        run_id="r1", hyper_params={}, status=Status.FAILED, time_added=NOON, num_epochs=3, attempt=attempt,
        error=error,
    )  # fmt: skip


def test_everything_that_is_known_is_in_the_explanation() -> None:
    error = RunError(
        kind="OSError", message="No space left.", traceback="Traceback", is_retryable=True, step=120, epoch=3,
        host="gpu-1", hint="Free some space under the data folder.",
    )  # fmt: skip
    failure = explain(failed(error), has_traceback=True)
    assert failure is not None
    assert failure.sentence == "Attempt 2 failed in epoch 3, after step 120, on gpu-1: No space left."
    assert (failure.kind, failure.step, failure.epoch, failure.host) == ("OSError", 120, 3, "gpu-1")
    assert (failure.hint, failure.traceback, failure.is_retryable) == (error.hint, "Traceback", True)


@pytest.mark.parametrize(
    ("error", "attempt", "sentence"),
    [
        (RunError(kind="E", message="m"), 1, "Attempt 1 failed: m"),
        (RunError(kind="E", message="m", host="h"), 1, "Attempt 1 failed on h: m"),
        (RunError(kind="E", message="m", step=7), 1, "Attempt 1 failed after step 7: m"),
        (RunError(kind="E", message="m", step=0, epoch=0), 1, "Attempt 1 failed: m"),
        (RunError(kind="E", message="m"), 0, "It failed before its first attempt: m"),
    ],
)
def test_what_is_not_known_is_left_out(error: RunError, attempt: int, sentence: str) -> None:
    failure = explain(failed(error, attempt), has_traceback=False)
    assert failure is not None
    assert failure.sentence == sentence


def test_a_list_has_no_tracebacks_and_a_run_without_an_error_no_failure() -> None:
    failure = explain(failed(RunError(kind="E", message="m", traceback="T")), has_traceback=False)
    assert failure is not None
    assert failure.traceback is None
    assert explain(failed(None), has_traceback=True) is None
