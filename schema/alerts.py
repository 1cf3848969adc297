"""Alerts: rules that people write, what they raise, and what became of telling it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import AwareDatetime, Field, StrictBool, StringConstraints, model_validator

from schema.records import Run
from schema.values import Finite, Fraction, NonNegative, Record

MAX_RULES: Final = 200
CHANNEL_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"
METRIC_PATTERN: Final = r"^[A-Za-z0-9_./-]{1,250}$"
RULE_ID_PATTERN: Final = r"^[0-9a-f]{32}$"
_DAY_S: Final = 86_400.0
_MONTH_S: Final = 30 * _DAY_S

ChannelName = Annotated[str, StringConstraints(pattern=CHANNEL_PATTERN)]
# No control characters: a name becomes the subject of a mail.
RuleName = Annotated[
    str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
# In JSON, true is no number.
_Fraction = Annotated[Fraction, Field(strict=True)]
ForSeconds = Annotated[float, Field(ge=0, le=_MONTH_S, allow_inf_nan=False, strict=True)]


class RunFinished(Record):
    """A run is done."""

    kind: Literal["run_finished"]


class RunFailed(Record):
    """A run has failed for good; one that will be tried again has not."""

    kind: Literal["run_failed"]


class RunStalled(Record):
    """A running run has recorded no epoch for a while."""

    kind: Literal["run_stalled"]
    for_s: Annotated[float, Field(ge=10, le=_MONTH_S, allow_inf_nan=False, strict=True)] = 1800.0


class MetricCrossed(Record):
    """A metric of a running run lies beyond a threshold, several points in a row."""

    kind: Literal["metric"]
    metric: Annotated[str, StringConstraints(pattern=METRIC_PATTERN)]
    relation: Literal["above", "below"]
    threshold: Finite = Field(strict=True, description="accuracies are 0 to 1")
    points: int = Field(1, ge=1, le=100, description="how many in a row")


class NotFinite(Record):
    """A loss or another metric is no longer a number."""

    kind: Literal["nan"]


class GpuIdle(Record):
    """A GPU that has a run computes next to nothing."""

    kind: Literal["gpu_idle"]
    below: _Fraction = 0.05
    for_s: ForSeconds = 600.0


class GpuHot(Record):
    """A GPU is too hot."""

    kind: Literal["gpu_hot"]
    above_c: Annotated[float, Field(ge=1, le=200, allow_inf_nan=False, strict=True)] = 85.0
    for_s: ForSeconds = 60.0


class MemoryFull(Record):
    """The memory of a worker's host, or of its GPU, is nearly full."""

    kind: Literal["memory"]
    of: Literal["host", "gpu"] = "host"
    above: _Fraction = 0.95
    for_s: ForSeconds = 60.0


class DiskFull(Record):
    """The disk with a worker's data folder is nearly full."""

    kind: Literal["disk"]
    above: _Fraction = 0.9
    for_s: ForSeconds = 60.0


class Co2Budget(Record):
    """So much CO₂ is reached; simulated runs do not count."""

    kind: Literal["co2_budget"]
    of: Literal["run", "project", "day", "month"] = Field(
        "month", description="one run, one project since its first run, or all runs in a day or month (UTC)"
    )
    budget_g: Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False, strict=True)]


class WorkerLost(Record):
    """A worker has fallen silent without saying good-bye."""

    kind: Literal["worker_lost"]


Condition = Annotated[
    RunFinished
    | RunFailed
    | RunStalled
    | MetricCrossed
    | NotFinite
    | GpuIdle
    | GpuHot
    | MemoryFull
    | DiskFull
    | Co2Budget
    | WorkerLost,
    Field(discriminator="kind"),
]
_ABOUT_WORKERS: Final = frozenset({"gpu_idle", "gpu_hot", "memory", "disk", "worker_lost"})


class RuleRequest(Record):
    """What to raise an alert for, and whom to tell."""

    name: RuleName
    condition: Condition
    channels: tuple[ChannelName, ...] = Field((), max_length=20, description="none: it is on the page only")
    project: Label | None = Field(None, description="runs of this project only")
    tag: Label | None = Field(None, description="runs with this tag only")
    is_urgent: StrictBool = Field(False, description="it is told in quiet hours, too")
    is_enabled: StrictBool = True
    again_after_s: ForSeconds = Field(
        3600.0, description="the same thing is not raised again before this has passed"
    )

    @model_validator(mode="after")
    def _check_filters(self) -> Self:
        """Refuse a choice of runs for what is not about single runs: it would be ignored."""
        condition = self.condition
        is_sum = isinstance(condition, Co2Budget) and condition.of in ("day", "month")
        if (self.project or self.tag) and (condition.kind in _ABOUT_WORKERS or is_sum):
            raise ValueError("project and tag choose runs, and this condition is not about single runs")
        if self.tag and isinstance(condition, Co2Budget) and condition.of == "project":
            raise ValueError("a project's CO₂ is not known by tag")
        return self


class AlertRule(RuleRequest):
    """A rule that is kept."""

    rule_id: str = Field(pattern=RULE_ID_PATTERN)
    active_since: AwareDatetime = Field(description="what happened before raises nothing")


class RulesReply(Record):
    """All rules, by name."""

    rules: list[AlertRule]


class Alert(Record):
    """What a rule has raised."""

    alert_id: str
    rule_id: str
    rule_name: str
    kind: str
    time: AwareDatetime
    title: str = Field(description="one line")
    text: str = Field(description="what happened and where to look")
    run_id: str | None = None
    worker_id: str | None = None
    is_urgent: bool = False
    channels: tuple[str, ...] = Field((), description="whom it was to be told")


class AlertsReply(Record):
    """What was raised, newest first; about the newest 1,000 are kept."""

    alerts: list[Alert]


class Delivery(Record):
    """One try to tell a channel."""

    delivery_id: str = Field("", description="empty until it is kept")
    time: AwareDatetime
    channel: str
    outcome: Literal["sent", "retrying", "given_up", "failed"] = Field(
        description="failed: a test, which is not tried again"
    )
    is_test: bool = False
    alerts: int = Field(0, ge=0, description="how many it told, or was to tell, in one message")
    left_out: int = Field(0, ge=0, description="how many more it only counted")
    title: str = ""
    tries: int = Field(1, ge=1)
    reason: str | None = Field(None, description="why it was not sent")
    retry_at: AwareDatetime | None = None


class DeliveriesReply(Record):
    """The log of deliveries, newest first; about the newest 1,000 are kept."""

    deliveries: list[Delivery]


class ChannelState(Record):
    """What waits for a channel."""

    name: str
    waiting: int = Field(0, ge=0, description="alerts that are still to be told")
    left_out: int = Field(0, ge=0, description="alerts that were too many to keep and will only be counted")
    failures: int = Field(0, ge=0, description="tries in a row that failed")
    retry_at: AwareDatetime | None = Field(None, description="when it is tried again")


class ChannelReply(ChannelState):
    """A channel, without what would let anybody else use it."""

    address: str = Field(description="its kind, and where that is no secret its host; never the rest")


class ChannelsReply(Record):
    """The channels of the settings, by name."""

    channels: list[ChannelReply]
    is_enabled: bool = Field(description="false: WATTLE_ENABLE_NOTIFICATIONS is off and nothing is sent")
    quiet_hours: str | None = None
    is_quiet: bool = Field(False, description="quiet hours are now")


class TestReply(Record):
    """What became of a test message."""

    __test__ = False  # pytest would take the name for a test

    outcome: Literal["sent", "failed", "unanswered"] = Field(
        description="unanswered: not within 4 s; how it ends is in the log of deliveries"
    )
    reason: str | None = None


class MetricTail(Protocol):
    """The newest points of metrics, wherever a run keeps them."""

    def list_tail(self, run: Run, metric: str, points: int) -> Sequence[float]:
        """Return at most ``points`` newest values, oldest first, NaN and infinities among them."""

    def find_not_finite(self, run: Run) -> str | None:
        """Return the name of a metric whose newest value is NaN or infinite; None when there is none."""


class RuleState(Record):
    """How a condition stands for one run, worker or sum."""

    since: NonNegative | None = Field(None, description="Unix time since when it holds; None: it does not")
    mark: str = Field("", description="what it held for; another mark begins anew")
    is_raised: bool = False
    raised_at: NonNegative | None = Field(None, description="Unix time of the last alert")


class Look(Record):
    """What a round of rules begins with."""

    number: int = Field(ge=0, description="of the last round that was taken over")
    cursor: str = Field("0-0", description="id of the last event that was looked at")
    states: dict[str, RuleState] = Field(description="<rule id>|<subject> → how it stands")


class Batch(Record):
    """Alerts that one program is about to tell a channel."""

    channel: str
    token: str = Field(description="shows that it is still held")
    is_urgent: bool
    alerts: tuple[Alert, ...]
    left_out: int = 0
    failures: int = Field(0, ge=0, description="tries before this one that failed")
