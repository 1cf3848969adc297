"""From the store's records to what the API shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from api.failures import explain
from api.state import db
from api.status_line import status_line
from schema import EpochResult, InUpdate, Run, RunReply, Status
from schema.quotas import Hold

# Copied and filled for each run of a page, which takes a fifth of what model_construct takes.
_EMPTY: Final = RunReply(
    run_id="0",
    hyper_params={},
    status=Status.WAITING,
    time_added=datetime.fromtimestamp(0, UTC),
    num_epochs=1,
    iid="0",
    progress=0.0,
)


def show_run(run: Run, *, epochs: Sequence[EpochResult] | None = None) -> RunReply:
    """Show one run, with its traceback if it failed; in_update is null when ``epochs`` is None."""
    return _show(
        run,
        line=list_status_lines([run])[run.run_id],
        in_update=None if epochs is None else InUpdate.of(epochs),
        is_alone=True,
        archived=bool(_list_archived([run])),
    )


def show_runs(
    runs: Sequence[Run],
    *,
    epochs: Mapping[str, Sequence[EpochResult]],
    sparklines: Mapping[str, list[float]],
) -> list[RunReply]:
    """Show a list of runs; in_update and sparkline are null where they are not given."""
    lines, archived = list_status_lines(runs), _list_archived(runs)
    return [
        _show(
            run,
            line=lines[run.run_id],
            archived=run.run_id in archived,
            in_update=InUpdate.of(epochs[run.run_id]) if run.run_id in epochs else None,
            sparkline=sparklines.get(run.run_id),
        )
        for run in runs
    ]


def list_status_lines(runs: Sequence[Run]) -> dict[str, str]:
    """Say where each run stands, in ten round trips at most, and in five without quotas."""
    waiting = [run for run in runs if run.status is Status.WAITING]
    needs_workers = waiting or any(run.status is Status.RUNNING for run in runs)
    workers = db().workers.list_recent() if needs_workers else []
    ahead = db().line.count_before(waiting) if waiting else {}
    holds = _list_holds(waiting) if waiting else {}
    return {
        run.run_id: status_line(run, workers=workers, ahead=ahead.get(run.run_id), hold=holds.get(run.run_id))
        for run in runs
    }


def _list_holds(waiting: Sequence[Run]) -> dict[str, Hold]:
    """Say which quota holds which run, and when that is expected to end."""
    holds = db().quotas.find_holds(waiting)
    if not holds:
        return {}
    running = db().runs.find_many(sorted({run_id for hold in holds.values() for run_id in hold.running}))
    now = db().now()
    return {run_id: hold._replace(frees_at=_first_end(hold, running, now)) for run_id, hold in holds.items()}


def _first_end(hold: Hold, running: Mapping[str, Run], now: datetime) -> datetime | None:
    """Guess when the first of the running runs ends, from how long their epochs have taken."""
    left_s = [
        run.duration_s / run.epochs_done * max(0, run.num_epochs - run.epochs_done)
        for run_id in hold.running
        if (run := running.get(run_id)) and run.duration_s and run.epochs_done and run.num_epochs
    ]
    return now + timedelta(seconds=min(left_s)) if left_s else None


def _list_archived(runs: Sequence[Run]) -> frozenset[str]:
    return db().archiving.list_archived([run.run_id for run in runs if run.status.is_final])


def _progress(run: Run) -> float | None:
    """Return the share of the epochs that are done; None where a script does not say how many, or which."""
    if run.num_epochs is None or (run.is_external and not run.epochs_done):
        return None
    return min(1.0, run.epochs_done / run.num_epochs)


def _show(
    run: Run,
    *,
    line: str,
    in_update: InUpdate | tuple[()] | None,
    sparkline: list[float] | None = None,
    is_alone: bool = False,
    archived: bool = False,
) -> RunReply:
    """Show a run, whose record was validated when it was read: it is not validated a second time."""
    values = dict(vars(run))  # iterating over a record takes forty times as long
    if run.error is not None and not is_alone:
        # 16 KB each: a list of failed runs would be little else.
        values["error"] = run.error.model_copy(update={"traceback": None})
    values |= {
        "iid": run.run_id,
        "progress": _progress(run),
        "status_line": line,
        "failure": explain(run, has_traceback=is_alone),
        "archived": archived,
        "in_update": in_update,
        "sparkline": sparkline,
    }
    return _EMPTY.model_copy(update=values)
