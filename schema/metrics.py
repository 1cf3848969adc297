"""The points of a run's metrics, as they travel."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from schema.external import Sequence, Session, UnixTime
from schema.values import Record

METRIC_PATTERN: Final = r"^[A-Za-z0-9_./-]{1,250}$"
MAX_STEP: Final = 2**63 - 1

MetricName = Annotated[str, StringConstraints(pattern=METRIC_PATTERN)]
Step = Annotated[int, Field(ge=0, le=MAX_STEP, strict=True)]
# What JSON has no number for.
NonFinite = Literal["NaN", "Infinity", "-Infinity"]
Stated = Annotated[float, Field(strict=True, allow_inf_nan=False)] | NonFinite
# Such a value in an answer: a number, or one of these words.
Value = Annotated[
    float, WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
]
Method = Literal["minmax", "lttb"]
CostName = Literal["energy_kwh", "co2_g"]


class _WithNonFinite(Record):
    """A record whose NaN and infinities are written as words."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class MetricPoints(Record):
    """Points of one metric: three lists of one length."""

    steps: list[Step]
    values: list[Stated] = Field(description='numbers, or "NaN", "Infinity", "-Infinity"')
    times: list[UnixTime] = Field(description="seconds since 1970, by the script's clock")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.steps) == len(self.values) == len(self.times):
            raise ValueError("steps, values and times should be of one length")
        return self


class PointsRequest(Record):
    """The body of POST /api/metrics/<iid>: one batch of a session, whose batches are counted from 1."""

    session: Session
    seq: Sequence
    points: dict[MetricName, MetricPoints] = Field(description="by metric; {} is a sign of life")


class MetricSummary(_WithNonFinite):
    """What is known of a metric without reading its points."""

    name: str
    count: int = Field(ge=0, description="its points")
    last_step: int = Field(ge=0, description="the largest step")
    last_value: Value = Field(description="at that step; of several the one that came last")
    min: float | None = Field(description="of the finite values; null without one")
    max: float | None = Field(description="of the finite values; null without one")


class Series(_WithNonFinite):
    """Points of a metric by step; those of one step in the order in which they came."""

    steps: list[int]
    values: list[Value]
    times: list[float | None] = Field(description="seconds since 1970; null where that is not known")
    total: int = Field(ge=0, description="points between the steps that were asked for")
    is_downsampled: bool = Field(description="these are fewer: a choice that shows their shape")
    costs: list[float | None] | None = Field(
        None,
        exclude_if=lambda costs: costs is None,
        description="with ``cost``: what the run had used by each point, all before it included; null where "
        "that is not known",
    )


class MetricsReply(_WithNonFinite):
    """The metrics of a run: what there are, or the points of those that were named."""

    names: list[MetricSummary] | None = Field(None, exclude_if=lambda names: names is None)
    metrics: dict[str, Series] | None = Field(None, exclude_if=lambda metrics: metrics is None)
