"""Which weights of ended runs are deleted, as people say it for each project."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator

from schema.metrics import METRIC_PATTERN
from schema.values import Record

SILENT_FOR_GOOD_S: Final = 30 * 86_400.0
"""A run that ended for its silence has ended for good after so much of it."""

_Kept = Annotated[int, Field(ge=0, le=10_000, strict=True)]


class RetentionPolicy(Record):
    """What is kept of the weights of each ended run of a project; without any figure everything is."""

    keep_best: _Kept | None = Field(None, description="so many of each run, by the metric")
    metric: Annotated[str, StringConstraints(pattern=METRIC_PATTERN)] = Field(
        "accuracy", description="higher is better, unless its name says loss or error"
    )
    keep_last: _Kept | None = Field(None, description="so many of each run, by when they were made")
    older_than_days: Annotated[int, Field(ge=0, le=36_500, strict=True)] | None = Field(
        None, description="nothing that is younger is deleted"
    )
    is_active: StrictBool = Field(False, description="it is applied once a day")

    @property
    def is_empty(self) -> bool:
        """Whether it deletes nothing."""
        return self.keep_best is None and self.keep_last is None and self.older_than_days is None

    @model_validator(mode="after")
    def _check_figures(self) -> Self:
        if self.is_active and self.is_empty:
            raise ValueError("an active policy should have keep_best, keep_last or older_than_days")
        return self


class RetentionDelete(Record):
    """Weights that a policy deletes."""

    run_id: str
    name: str
    version: int | None = Field(description="null of a saved model of a run of the queue")
    size_bytes: int
    why: str


class RetentionPlan(Record):
    """What a policy would delete now; nothing has been deleted."""

    token: str = Field(description="stands for exactly these deletes")
    deletes: list[RetentionDelete] = Field(description="at most 1,000: repeat it for the others")
    size_bytes: int
    kept: int = Field(description="weights of the project's ended runs that stay")


class ApplyRequest(Record):
    """The body of POST /api/projects/<project>/retention/apply."""

    token: str = Field(max_length=64, description="of the plan")


class RetentionReply(Record):
    """What a policy has deleted."""

    deleted: int
    size_bytes: int
    left: list[str] = Field(description="what could not be deleted, and why: a sentence each")
