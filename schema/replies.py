"""What the HTTP API answers; shared by the API, which fills it, and the client, which reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, JsonValue, StrictBool

from schema.carbon import CarbonPlan
from schema.controls import Failure
from schema.exports import PluginReply
from schema.records import Attempt, EpochResult, LogLine, Run, RunOptions, Status, Worker
from schema.values import Record


class TrainRequest(Record):
    """The body of POST /train."""

    hyper_params: dict[str, JsonValue]
    options: RunOptions = RunOptions()
    demo: StrictBool = Field(False, description="simulate the run with the trainer demo instead")


class TrainReply(Record):
    """The answer to POST /train."""

    iid: str
    success: Literal[True] = True
    plan: CarbonPlan | None = Field(
        None,
        exclude_if=lambda plan: plan is None,  # who knows of no plans is answered as ever
        description="when and where it is to run; with options.carbon only",
    )


class InUpdate(Record):
    """The epochs of a run as equally long lists. Accuracies in %, unknown energy is null in its place."""

    epoch: list[int]
    train_loss: list[float]
    train_accuracy: list[float]
    test_loss: list[float]
    test_accuracy: list[float]
    time_training: Annotated[list[float], Field(description="cumulative seconds")]
    energy_kwh: list[float | None]
    co2_g: list[float | None]

    @classmethod
    def of(cls, epochs: Sequence[EpochResult]) -> InUpdate | tuple[()]:
        """Turn epochs, oldest first, into lists; an empty tuple when there are none."""
        if not epochs:
            return ()
        cumulative_s = 0.0
        time_training = []
        for result in epochs:
            cumulative_s += result.duration_s
            time_training.append(cumulative_s)
        return cls(
            epoch=[result.epoch for result in epochs],
            train_loss=[result.train_loss for result in epochs],
            train_accuracy=[100 * result.train_accuracy for result in epochs],
            test_loss=[result.test_loss for result in epochs],
            test_accuracy=[100 * result.test_accuracy for result in epochs],
            time_training=time_training,
            energy_kwh=[result.energy_kwh for result in epochs],
            co2_g=[result.co2_g for result in epochs],
        )


class RunReply(Run):
    """A run as the API shows it: the record under the original's name ``iid``."""

    iid: str
    progress: float | None = Field(
        ge=0,
        le=1,
        description="share of the epochs that are recorded; null where an external run does not say",
    )
    status_line: str = Field("", description="where the run stands and why, in one sentence")
    failure: Failure | None = Field(None, description="why it failed; null unless it has")
    archived: bool = Field(False, description="moved to the archive: read-only until it is restored")
    in_update: InUpdate | tuple[()] | None = Field(
        None, description="null where it was not asked for, [] until the first epoch is recorded"
    )
    sparkline: list[float] | None = Field(
        None, description="test accuracy, at most 24 points, where it was asked for"
    )


class RunsReply(Record):
    """A page of runs; without a limit, all of them."""

    results: list[RunReply]
    cursor: str | None = Field(None, description="send it back for the next page; null on the last one")
    total: int = Field(ge=0, description="runs with that status, over all pages")
    counts: dict[Status, int] = Field(description="runs by status")


class SearchReply(Record):
    """The ids of the runs that match a search."""

    run_ids: list[str] = Field(description="the newest first, at most 10,000")
    total: int = Field(ge=0, description="how many match")


class EpochsReply(Record):
    """The epochs of a run, oldest first, and its attempts."""

    epochs: list[EpochResult]
    attempts: list[Attempt]


class LogReply(Record):
    """Lines of a run's log, oldest first."""

    lines: list[LogLine]
    older: str | None = Field(
        None,
        description="a line_id: lines before it were not looked at, pass it as before; null: none are left",
    )
    newest: str | None = Field(
        None, description="a line_id: the newest line looked at, to be passed as after; null: there is none"
    )


class TrainerReply(Record):
    """A trainer and the JSON schema of its hyper_params, from which a form can be made."""

    name: str
    title: str
    summary: str
    simulated: bool = Field(False, description="its runs train nothing and are labelled everywhere")
    schema_: dict[str, JsonValue] = Field(alias="schema")


class TrainersReply(Record):
    """All trainers; the first is the default."""

    trainers: list[TrainerReply]


class PageReply(Record):
    """Where people find the page."""

    page_url: str = Field(description="WATTLE_PAGE_URL; /compare?run=<id>&run=<id> below it compares runs")


class HealthReply(BaseModel):
    """Whether the API can do its work."""

    status: Literal["ok", "unavailable"]
    redis: Literal["reachable", "unreachable"]
    version: str
    workers: list[Worker]
    waiting: int | None = Field(description="runs waiting in all queues; null while Redis is away")
    time: AwareDatetime
    live_viewers: int = Field(0, description="live connections of this web process")
    warnings: list[str] = Field(
        [], description="what about the setup of Redis could lose runs, with remedies"
    )
    plugins: list[PluginReply] = Field(
        [], description="what is installed besides Wattle's own, and exporters"
    )


class ErrorDetail(Record):
    """One reason why one field of a request is not valid."""

    field: str = Field(description="dotted path, or the name of a query parameter or header")
    message: str


class ErrorBody(Record):
    """What went wrong and what to do."""

    code: str = Field(description="for programs; stable")
    message: str = Field(description="a sentence for the user")
    details: list[ErrorDetail]


class ErrorReply(Record):
    """The answer to every request that failed."""

    error: ErrorBody
