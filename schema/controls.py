"""What people ask of runs and workers over HTTP, and what the API answers."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AwareDatetime, Field, JsonValue, StrictBool, StringConstraints

from schema.external import TagsRequest
from schema.records import Status, Worker
from schema.values import NonNegative, Record

Priority = Literal["normal", "high"]
Action = Literal[
    "cancel", "pause", "resume", "preempt", "retry", "rerun", "priority", "delete", "star", "unstar", "tag"
]
MAX_BULK_RUNS: Final = 500


class Ahead(NamedTuple):
    """How many runs of its queue are claimed before a waiting one; a lower bound unless it is exact."""

    runs: int
    is_exact: bool = True


class Failure(Record):
    """Why a run failed, for a person."""

    kind: str = Field(description="class of the failure, such as TrainingFailed")
    sentence: str = Field(description="what happened, and how far the run had come")
    hint: str | None = Field(None, description="what to do about it, where that is known")
    attempt: int = Field(ge=0, description="the attempt that failed")
    epoch: int | None = Field(None, description="the epoch it was in, where that is known")
    step: int | None = Field(None, description="the last optimiser step, where that is known")
    host: str | None = Field(None, description="where it was trained")
    is_retryable: bool = Field(False, description="the kind of failure that Wattle tries again by itself")
    traceback: str | None = Field(None, description="null in a list of runs")


class NoBody(Record):
    """{}: the request needs nothing but its path."""


class PriorityRequest(Record):
    """The body of POST /api/runs/<iid>/priority."""

    priority: Priority = Field(description="high runs are claimed before normal ones of the same queue")


class RerunRequest(Record):
    """The body of POST /api/runs/<iid>/rerun: what the new run does differently; {} for nothing."""

    hyper_params: dict[str, JsonValue] = Field({}, description="changes of the old run's hyper_params")
    options: dict[str, JsonValue] = Field({}, description="changes of the old run's options")


class BulkRequest(Record):
    """One action on many runs, named by their ids or by the status they have."""

    action: Action
    run_ids: tuple[Annotated[str, StringConstraints(max_length=64)], ...] | None = Field(
        None, min_length=1, max_length=MAX_BULK_RUNS, description="which runs"
    )
    status: Status | None = Field(
        None,
        description="in place of run_ids: the oldest 500 runs of that status. For retry (failed, cancelled), "
        "cancel (waiting, deferred, paused) and resume (paused)",
    )
    priority: Priority | None = Field(None, description="for the action priority alone")
    tags: TagsRequest | None = Field(
        None, description="for the action tag alone: those to add and to remove; group=name is a group"
    )


class Outcome(Record):
    """What an action did to one run of many."""

    iid: str
    success: bool
    status: Status | None = Field(None, description="of the run after it; null where it is not known or gone")
    code: str | None = Field(
        None, description="why not: the code of the error it would be for this run alone, or not_tried"
    )
    message: str | None = Field(None, description="a sentence: why not, or what is left to do")
    new_iid: str | None = Field(None, description="the run that rerun queued")


class BulkReply(Record):
    """What an action did to each of many runs, in the order they were named."""

    action: Action
    outcomes: list[Outcome]
    succeeded: int = Field(ge=0)
    refused: int = Field(ge=0)
    not_tried: int = Field(ge=0, description="for which there was no time: send these again")
    left: int | None = Field(
        None, description="runs that still have the status that was asked for; null where it is not known"
    )


class DeletionReply(Record):
    """What deleting a run removes, or has removed."""

    iid: str
    status: Status | None = Field(description="null when only files were left of the run")
    epochs: int = Field(0, ge=0)
    attempts: int = Field(0, ge=0)
    log_lines: int = Field(0, ge=0)
    points: int = Field(0, ge=0, description="of its metrics")
    notes: int = Field(0, ge=0)
    artifacts: int = Field(0, ge=0, description="versions of its artifacts")
    energy_kwh: NonNegative | None = Field(None, description="stays in the totals: it was used")
    co2_g: NonNegative | None = Field(None, description="stays in the totals")
    model_bytes: int | None = Field(0, ge=0, description="null where this host cannot read their place")
    checkpoint_bytes: int | None = Field(0, ge=0, description="null where this host cannot read their place")
    artifact_bytes: int | None = Field(0, ge=0, description="null where this host cannot read their place")
    files_left: str | None = Field(
        None, description="which files could not be read or deleted, and why; null when all could"
    )


class WorkerRun(Record):
    """The run of a worker: the one it trains, or trained when it was last heard of."""

    iid: str
    status: Status
    attempt: int = Field(ge=0)
    epochs_done: int = Field(ge=0)
    num_epochs: int = Field(ge=1)
    taken_by: str | None = Field(None, description="the worker that has had it since; null when none has")
    taken_at: AwareDatetime | None = None


class WorkerReply(Worker):
    """A worker as its last heartbeat described it, and what has become of it."""

    is_live: bool
    heartbeat_age_s: NonNegative
    status_line: str = Field(description="what it does, or what became of its run, in one sentence")
    run: WorkerRun | None = Field(None, description="null when it had none, or the run was deleted")


class WorkersReply(Record):
    """The live workers by name, then the newest of those that are gone since less than 24 hours."""

    workers: list[WorkerReply]


class DrainRequest(Record):
    """The body of POST /api/workers/<worker_id>/drain."""

    is_draining: StrictBool = Field(description="true: it ends after its run; false: it goes on")
