"""What a worker does, and who has its run since it fell silent; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schema import Attempt, Run, Status, Worker, WorkerReply, WorkerRun


def show_worker(worker: Worker, run: Run | None, attempts: Sequence[Attempt], now: datetime) -> WorkerReply:
    """Show a worker with the run of its last heartbeat; None when it had none, or it was deleted."""
    shown = _show_run(worker, run, attempts) if run else None
    return WorkerReply(
        **dict(worker),
        is_live=worker.gone_at is None,
        heartbeat_age_s=max(0.0, (now - worker.seen_at).total_seconds()),
        status_line=_gone(worker, shown) if worker.gone_at else _live(worker, shown),
        run=shown,
    )


def _show_run(worker: Worker, run: Run, attempts: Sequence[Attempt]) -> WorkerRun:
    """Show its run; the next one to have it is the worker of the attempt after its own last one."""
    own = max((attempt.attempt for attempt in attempts if attempt.worker == worker.worker_id), default=None)
    later = [attempt for attempt in attempts if own is not None and attempt.attempt > own]
    heir = later[0] if later else None
    return WorkerRun(
        iid=run.run_id,
        status=run.status,
        attempt=own or run.attempt,
        epochs_done=run.epochs_done,
        num_epochs=run.num_epochs,
        taken_by=heir.worker if heir else None,
        taken_at=heir.started_at if heir else None,
    )


def _live(worker: Worker, run: WorkerRun | None) -> str:
    if run is None or run.status is not Status.RUNNING or run.taken_by:
        return "ending: it is being drained and has no run" if worker.is_draining else "waits for a run"
    doing = f"trains run {run.iid}, {_progress(run)}"
    return f"{doing}; it is being drained and ends after it" if worker.is_draining else doing


def _gone(worker: Worker, run: WorkerRun | None) -> str:
    start = f"silent since {worker.seen_at:%Y-%m-%d %H:%M:%S} UTC"
    if run is None:
        return f"{start}; {'its run was deleted' if worker.run_id else 'it had no run'}"
    if run.taken_by and run.taken_at:
        return f"{start}; its run {run.iid} was given to {run.taken_by} at {run.taken_at:%H:%M:%S} UTC"
    if run.status is Status.RUNNING:
        return f"{start}; its run {run.iid} goes to another worker once the lease has expired"
    if run.status is Status.WAITING:
        return f"{start}; its run {run.iid} waits for another worker"
    return f"{start}; its run {run.iid} is {run.status}"


def _progress(run: WorkerRun) -> str:
    if run.epochs_done >= run.num_epochs:
        return f"all {run.num_epochs} epochs recorded"
    return f"epoch {run.epochs_done + 1} of {run.num_epochs}"
