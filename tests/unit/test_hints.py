"""What a person reads about a failed run besides its message."""

from __future__ import annotations

import pytest

import errors
from schema import RunError
from work.child import explain
from work.failures import HINTS, complete


def test_an_error_learns_where_it_happened_and_what_to_try() -> None:
    error = complete(RunError(kind="ChildDied", message="killed"), host="node-7", step=12, epoch=3)
    assert (error.host, error.step, error.epoch) == ("node-7", 12, 3)
    assert "batch_size" in (error.hint or "")


def test_what_an_error_already_says_stays() -> None:
    error = complete(RunError(kind="ChildDied", message="m", host="a", hint="h"), host="b", step=1, epoch=1)
    assert (error.host, error.hint) == ("a", "h")


def test_an_error_of_foreign_code_is_looked_for_in_its_traceback() -> None:
    foreign = RunError(kind="KeyError", message="'x'", traceback="Traceback ...")
    assert "traceback" in (complete(foreign, host="h", step=None, epoch=1).hint or "")


def test_every_error_of_our_own_that_has_a_hint_exists() -> None:
    ours = {name for name in HINTS if hasattr(errors, name)}
    assert {"TrainingFailed", "TrainerDied", "InvalidInput", "DatasetUnavailable"} <= ours


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (errors.TrainingFailed("NaN"), False),
        (errors.InvalidInput("wrong"), False),
        (errors.DatasetUnavailable("missing"), False),
        (errors.DownloadInterrupted("reset"), True),
        (errors.TrainerDied("rank 1"), True),
        (OSError("disk"), True),
        (ValueError("foreign"), True),
    ],
)
def test_what_wattle_explains_would_happen_again_and_anything_else_may_not(
    error: Exception, is_retryable: bool
) -> None:
    assert explain(error).is_retryable is is_retryable
