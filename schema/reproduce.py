"""How a run is repeated, and what has changed since: records of its reproduction."""

from __future__ import annotations

from pydantic import Field, JsonValue

from schema.records import Scalar
from schema.values import Record


class FactChange(Record):
    """A fact of a run's environment that is another one on a worker."""

    name: str = Field(description="as in the environment, or a package's name")
    then: Scalar = Field(description="when the run was trained; null where it was not there")
    now: Scalar = Field(description="on the worker; null where it is not there")
    is_code: bool = Field(description="of the code itself: its commit, its changes or Wattle's version")


class WorkerNow(Record):
    """How the environment of a live worker differs from that of a run."""

    worker_id: str
    name: str
    changes: tuple[FactChange, ...]


class ReproductionReply(Record):
    """What it takes to train a run again with the same hyper_params, seed and trainer."""

    iid: str
    is_possible: bool
    reason: str | None = Field(None, description="why it cannot be queued again; null where it can")
    hyper_params: dict[str, JsonValue] = Field(description="complete, the seed among them")
    options: dict[str, JsonValue] = Field(
        description="as it was run, without a start or a deadline, which are over"
    )
    command: str | None = Field(description="a line for a shell in Wattle's folder that queues it again")
    curl: str | None = Field(description="the same without Wattle")
    workers: tuple[WorkerNow, ...] = Field(description="live ones that say what they run with, by name")
    is_recorded: bool = Field(description="the run noted its packages, so that they can be compared")
