"""Where a run stands and why, in one sentence; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from scheduling.zones import read_requires
from schema import DEFAULT_QUEUE, Ahead, Requires, Run, Status, Worker, can_take, planned_queue
from schema.quotas import Hold

_MAX_TEXT: Final = 200
_ASKED: Final = {
    "cancel": "cancel asked for, stops at the next step",
    "pause": "pause asked for, stops at the next step with a checkpoint",
    "preempt": "preempt asked for, goes back to the queue at the next step",
}
_ASKED_SCRIPT: Final = "cancel asked for, which its script hears with its next report"
_SILENT: Final = "its worker {worker} is silent; "
_AFTER_SILENCE: Final = {
    None: "another one takes the run once the lease has expired",
    "cancel": "the cancel that was asked for takes effect once the lease has expired",
    "pause": "the pause that was asked for takes effect once the lease has expired",
    "preempt": "another one takes the run once the lease has expired",
}


def status_line(run: Run, *, workers: Sequence[Worker], ahead: Ahead | None, hold: Hold | None = None) -> str:
    """Say where a run stands.

    workers: the live ones; they count for a waiting and a running run alone. ahead: None when the run is on
    no list. hold: the quota that keeps a waiting run from being claimed; another worker would not help it.
    """
    match run.status:
        case Status.WAITING:
            why = _held(hold) if hold else obstacle(run, workers) or _place(run, ahead)
            return f"waiting: {why}{_planned(run)}"
        case Status.DEFERRED:
            return _deferred(run)
        case Status.RUNNING:
            return _running(run, workers)
        case Status.PAUSED:
            since = f" since {_show(run.paused_at)}" if run.paused_at else ""
            return f"paused{since}: resume it to let it wait for a worker again"
        case Status.FAILED:
            return f"failed: {_failure(run)}"
        case Status.CANCELLED:
            return _cancelled(run)
        case Status.DONE:
            how = "as its own script says" if run.is_external else f"{_epochs(run.epochs_done)} trained"
            return f"done: {how}{_because(run)}"


def _held(hold: Hold) -> str:
    quota = f"held by the quota running_runs of the {hold.owner} {hold.name}"
    if hold.most == 0:
        return f"{quota}, which lets none run; an admin can raise it"
    runs = "1 run" if hold.most == 1 else f"{hold.most} runs"
    expected = f", at about {_show(hold.frees_at, to_minute=True)}" if hold.frees_at else ""
    return f"{quota}, which lets {runs} be at work; the next may once one of them has ended{expected}"


def obstacle(run: Run, workers: Sequence[Worker]) -> str | None:
    """Say why no worker will take a waiting run; None when one will."""
    options, queue = run.options, planned_queue(run.options, run.carbon)
    requires = None if options.requires is None else read_requires(options.requires)
    # The first one will do: a list shows many runs, and a cluster has a thousand workers.
    if any(not worker.is_draining and can_take(worker, queue, requires) for worker in workers):
        return None
    is_taken = any(can_take(worker, queue, requires) for worker in workers)
    command = "python worker.py"
    if queue != DEFAULT_QUEUE:
        command += f" --queues {queue}"
    wanted = _wanted(queue, options.requires)
    if is_taken:
        return f"every live worker that takes {wanted} is being drained; start another one with '{command}'"
    if not workers:
        return f"no worker is alive; start one with '{command}'"
    where = " on a machine that has this" if _needs(options.requires) else ""
    return f"no live worker takes {wanted}; start one{where} with '{command}'"


def _wanted(queue: str, requires: Requires | None) -> str:
    needs = _needs(requires)
    return f"runs of the queue {queue}" + (f" that need {needs}" if needs else "")


def _needs(requires: Requires | None) -> str:
    """Name what a run needs; empty when it needs nothing."""
    if requires is None:
        return ""
    memory = f"{requires.min_gpu_memory_gib:g} GiB" if requires.min_gpu_memory_gib else ""
    gpus = requires.gpus or (1 if memory else 0)
    parts = []
    if gpus:
        parts.append(f"{gpus} GPU{'s' if gpus > 1 else ''}" + (f" with {memory}" if memory else ""))
    if requires.zone:
        parts.append(f"the zone {requires.zone}")
    return " and ".join(parts)


def _place(run: Run, ahead: Ahead | None) -> str:
    if ahead is None:
        return "about to be claimed"
    queue = planned_queue(run.options, run.carbon)
    where = "" if queue == DEFAULT_QUEUE else f" in the queue {queue}"
    if not ahead.runs:
        unless = "" if ahead.is_exact else ", unless runs with other requirements come first"
        return f"the next one{where or ' to be claimed'}{unless}"
    more = "" if ahead.is_exact else "at least "
    return f"{more}{ahead.runs} run{'s' if ahead.runs > 1 else ''} before it{where}"


def _planned(run: Run) -> str:
    """Say why a run that follows the grid does not wait for it; empty for others."""
    if run.carbon is None or run.carbon.is_override:
        return ""
    return f". {_clip(run.carbon.reason)}"


def _deferred(run: Run) -> str:
    # A plan's hours; the pause after a failure may last seconds.
    is_planned = run.carbon is not None and not run.failures
    until = f"deferred until {_show(run.due_at, to_minute=is_planned)}" if run.due_at else "deferred"
    if run.failures:
        return f"{until} after failure {run.failures}; {run.options.max_failures} are tried again at most"
    return f"{until}{_because(run)}"


def _reported(run: Run) -> str:
    """Say how a run stands that its own script reports."""
    if run.request is not None:
        return f"running: {_ASKED_SCRIPT}"
    heard = f", last heard of at {_show(run.heard_at)}" if run.heard_at else ""
    return f"running: reported by its own script{heard}"


def _running(run: Run, workers: Sequence[Worker]) -> str:
    if run.is_external:
        return _reported(run)
    own = next((worker for worker in workers if worker.worker_id == run.worker), None)
    if own is None:
        return "running: " + _SILENT.format(worker=run.worker) + _AFTER_SILENCE[run.request]
    if run.is_postponed and run.carbon is not None:
        return f"running, stops at the next step with a checkpoint: {_clip(run.carbon.reason)}"
    if run.request is not None:
        return f"running: {_ASKED[run.request]}"
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    if run.num_epochs is not None and run.epochs_done >= run.num_epochs:
        return f"running on {own.name}: all {_epochs(run.epochs_done)} recorded, about to end{again}"
    return f"running on {own.name}: epoch {run.epochs_done + 1} of {run.num_epochs}{again}"


def _cancelled(run: Run) -> str:
    reason = _clip(run.status_reason or "")
    return reason if reason.startswith("cancelled") else f"cancelled{_because(run)}"


def _failure(run: Run) -> str:
    if run.error is None:
        return run.status_reason or "its worker gave no reason"
    return f"{run.error.kind}: {_clip(run.error.message)}"


def _because(run: Run) -> str:
    return f": {_clip(run.status_reason)}" if run.status_reason else ""


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"


def _clip(text: str) -> str:
    """Keep the first line, as far as a table can show it."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}…"


def _show(moment: datetime, *, to_minute: bool = False) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if to_minute else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
