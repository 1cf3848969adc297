"""Why a run failed, explained; pure."""

from __future__ import annotations

from schema import Failure, Run, RunError


def explain(run: Run, *, has_traceback: bool) -> Failure | None:
    """Explain the failure a run ended with, or waits to be tried again after; None without one."""
    error = run.error
    if error is None:
        return None
    return Failure(
        kind=error.kind,
        sentence=f"{_where(run, error)}: {error.message}",
        hint=error.hint,
        attempt=run.attempt,
        epoch=error.epoch,
        step=error.step,
        host=error.host,
        is_retryable=error.is_retryable,
        traceback=error.traceback if has_traceback else None,
    )


def _where(run: Run, error: RunError) -> str:
    """Say how far the run had come, such as "Attempt 2 failed in epoch 3, after step 120, on gpu-1"."""
    if run.is_external:
        return "Its script failed"
    start = f"Attempt {run.attempt} failed" if run.attempt else "It failed before its first attempt"
    parts = [
        f" in epoch {error.epoch}" if error.epoch else "",
        f" after step {error.step}" if error.step else "",
        f" on {error.host}" if error.host else "",
    ]
    return start + ",".join(part for part in parts if part)
