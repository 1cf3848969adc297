"""The records of the store: what a run is, what an epoch achieved and cost, who works.

Accuracies are fractions 0-1, times are aware UTC datetimes, every quantity carries its unit in its name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, JsonValue, SerializeAsAny, StringConstraints

from schema.carbon import CarbonOptions, CarbonOutcome, CarbonPlan
from schema.gpus import GpuState
from schema.moment import Moment
from schema.values import Finite, Fraction, Marked, NonNegative, Record, Zone

RUN_ID_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$"
QUEUE_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
DEFAULT_QUEUE = "default"
PROJECT_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_. -]*$"
DEFAULT_PROJECT = "default"

Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
Project = Annotated[
    str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True, pattern=PROJECT_PATTERN)
]
Scalar = str | int | float | bool | None
EnergyQuality = Literal["measured", "estimated", "simulated"]


class Status(StrEnum):
    """Where a run stands; a run has exactly one."""

    DEFERRED = "deferred"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True when no worker will touch the run again."""
        return self in (Status.DONE, Status.FAILED, Status.CANCELLED)


class SortField(StrEnum):
    """The fields a list of runs can be sorted by; each has its own index in the store."""

    TIME_ADDED = "time_added"
    BEST_ACCURACY = "best_accuracy"
    LAST_LOSS = "last_loss"
    ENERGY_KWH = "energy_kwh"
    CO2_G = "co2_g"
    DURATION_S = "duration_s"
    ACCURACY_PER_KWH = "accuracy_per_kwh"


class Requires(Record):
    """What a run needs of its worker; the default needs nothing."""

    gpus: int = Field(0, ge=0, le=64, strict=True, description="GPUs of one worker")
    min_gpu_memory_gib: float = Field(
        0.0,
        ge=0,
        le=4096,
        strict=True,
        allow_inf_nan=False,
        description="of each of its GPUs; more than 0 needs a GPU",
    )
    zone: Zone | None = Field(None, description="the zone it is in, in either case; None for any")


class RunOptions(Record):
    """How a run is run, not what is trained; never part of a comparison."""

    queue: str = Field(DEFAULT_QUEUE, pattern=QUEUE_PATTERN, description="the queue it waits in")
    priority: Literal["normal", "high"] = Field(
        "normal", description="high runs are claimed before normal ones of the same queue"
    )
    project: Project = Field(DEFAULT_PROJECT, description="whose totals of energy and CO₂ it counts in")
    tags: tuple[Tag, ...] = Field((), max_length=32, description="free labels")
    requires: Requires | None = Field(None, description="what its worker has to have; None for nothing")
    timeout_s: float | None = Field(
        None,
        gt=0,
        strict=True,
        allow_inf_nan=False,
        description="the longest it may train, all attempts together",
    )
    start_at: Moment | None = Field(None, description="it is deferred until then")
    max_failures: int = Field(
        3, ge=0, le=10, strict=True, description="how often it is tried again after a failure"
    )
    carbon: CarbonOptions | None = Field(
        None, description="how it waits for clean electricity; None to run as soon as it can"
    )


class EpochResult(Record):
    """What one epoch achieved and cost. The trainer fills the first part, the worker the second."""

    epoch: int = Field(ge=1)
    train_loss: Finite = Field(description="mean cross-entropy, nats per image")
    train_accuracy: Fraction
    test_loss: Finite = Field(description="mean cross-entropy, nats per image")
    test_accuracy: Fraction
    validation_loss: Finite | None = Field(None, description="None without a validation split")
    validation_accuracy: Fraction | None = None
    duration_s: NonNegative = Field(
        description="training and evaluation of this epoch, all attempts together"
    )
    resumed_after_s: NonNegative | None = Field(
        None, description="how much of it an earlier attempt trained, in whose sums its time and energy are"
    )

    attempt: int | None = Field(None, ge=1, description="the attempt that recorded it")
    energy_kwh: NonNegative | None = Field(None, description="None when unknown; see energy_reason")
    energy_quality: EnergyQuality | None = Field(None, description="simulated: invented by a simulated run")
    energy_reason: str | None = Field(None, description="why energy_kwh is None")
    energy_window_epochs: int | None = Field(
        None, ge=1, description="epochs that share one step of the meter; None when it saw this one alone"
    )
    co2_g: NonNegative | None = None
    intensity_g_per_kwh: NonNegative | None = None
    energy_by_source: dict[str, NonNegative] | None = Field(
        None, description="kWh of the sources that are known, such as gpu:0, cpu, dram; before the PUE factor"
    )
    ended_at: AwareDatetime | None = Field(
        None, description="end of the epoch, by the worker's clock, to the second"
    )
    co2_reason: str | None = Field(None, description="why co2_g is None where energy_kwh is known")
    intensity_provider: str | None = Field(
        None,
        description="whose figure that is, where it is not the run's provider: static, the year's average",
    )


class Co2Source(Record):
    """Whose carbon intensities turned a run's energy into CO₂."""

    zone: str
    provider: str
    basis: str = Field(description="average or marginal, lifecycle or direct; never mixed")
    at: AwareDatetime | None = Field(None, description="when it was computed again; None as it was recorded")


class Co2Revision(Record):
    """A CO₂ figure of a run that a later one replaced."""

    replaced_at: AwareDatetime
    co2_g: NonNegative | None
    source: Co2Source


class ExtraCost(Record):
    """What an attempt used besides its epochs; part of the run's sums, of no epoch."""

    name: str = Field(
        pattern=r"^[a-z_]{1,32}$", description="what for: batch_trial, compile, unfinished_epoch or rest"
    )
    attempt: int = Field(ge=1)
    ended_at: AwareDatetime = Field(description="end of the span, by the clock of the worker")
    span_s: NonNegative = Field(description="the length of the span")
    duration_s: NonNegative = Field(description="how much of it is training time, as the sums count it")
    energy_kwh: NonNegative | None = Field(None, description="None when unknown; see energy_reason")
    energy_quality: EnergyQuality | None = None
    energy_reason: str | None = Field(None, description="why energy_kwh is None")
    co2_g: NonNegative | None = None
    intensity_g_per_kwh: NonNegative | None = None
    co2_reason: str | None = Field(None, description="why co2_g is None where energy_kwh is known")
    intensity_provider: str | None = Field(
        None,
        description="whose figure that is, where it is not the run's provider: static, the year's average",
    )


class RunError(Record):
    """Why a run failed."""

    kind: str = Field(description="class of the failure, such as TrainingFailed")
    message: str = Field(description="a sentence for the user")
    traceback: str | None = None
    is_retryable: bool = Field(False, description="the same run may succeed when it is tried again")
    step: int | None = Field(None, ge=0, description="the last optimiser step it made")
    epoch: int | None = Field(None, ge=0, description="the epoch it was in")
    host: str | None = Field(None, description="where it happened")
    hint: str | None = Field(None, description="what to try, a sentence for the user")


class Attempt(Record):
    """One try by one worker."""

    attempt: int = Field(ge=1)
    worker: str
    host: str | None = Field(None, description="of its worker; None where that had not said so")
    zone: str | None = Field(None, description="of its worker; None where that had not said so")
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    energy_kwh: NonNegative | None = Field(None, description="None as soon as one epoch's is unknown")
    energy_reason: str | None = Field(None, description="why a part of what it used is not in energy_kwh")
    unknown_energy_epochs: int = Field(0, ge=0, description="epochs it recorded whose energy is unknown")
    co2_g: NonNegative | None = None
    duration_s: NonNegative = 0.0
    end_reason: str | None = Field(
        None, description="done, failed, preempted, postponed, paused, cancelled or lease_lost"
    )
    error: str | None = Field(None, description="what went wrong, in short; None unless it failed")


class Run(Marked):
    """One training, from its hyperparameters to its last status."""

    run_id: str = Field(pattern=RUN_ID_PATTERN)
    hyper_params: dict[str, JsonValue] = Field(description="complete: every default filled in")
    options: RunOptions = RunOptions()
    simulated: bool = Field(False, description="nothing is trained: its figures and energy are invented")
    status: Status
    status_reason: str | None = Field(None, description="why it has this status, for a person")
    attempt: int = Field(0, ge=0, description="0 until a worker claimed it")
    failures: int = Field(0, ge=0)
    lease_losses: int = Field(0, ge=0)
    worker: str | None = None
    request: Literal["cancel", "pause", "preempt"] | None = Field(
        None, description="what its worker was asked for and has not done yet"
    )
    rerun_of: str | None = Field(None, description="the run it repeats")
    name: str | None = Field(None, description="of the experiment; None for a run of the queue")
    is_external: bool = Field(
        False, description="its own script reports it; it has no queue, no attempt and no worker of ours"
    )
    heard_at: AwareDatetime | None = Field(
        None, description="when its script was last heard of; None unless it is external"
    )

    time_added: AwareDatetime
    started_at: AwareDatetime | None = Field(None, description="start of the present or last attempt")
    ended_at: AwareDatetime | None = None
    due_at: AwareDatetime | None = Field(None, description="when it waits again; None unless deferred")
    paused_at: AwareDatetime | None = Field(None, description="None unless paused")

    epochs_done: int = Field(0, ge=0)
    num_epochs: int | None = Field(None, ge=1, description="None where an external run does not say it")
    best_accuracy: Fraction | None = Field(None, description="best test accuracy of any epoch")
    last_accuracy: Fraction | None = None
    last_loss: Finite | None = Field(None, description="test loss of the last epoch")
    energy_kwh: NonNegative | None = Field(
        None, description="sum over all attempts; None as soon as one epoch's is unknown"
    )
    unknown_energy_epochs: int = Field(
        0, ge=0, description="recorded epochs, of all attempts, whose energy is unknown"
    )
    energy_quality: EnergyQuality | None = Field(None, description="estimated as soon as one epoch was")
    co2_g: NonNegative | None = Field(
        None, description="sum over all attempts; None as soon as one epoch's is unknown"
    )
    co2_source: Co2Source | None = Field(None, description="None until co2_g was computed again")
    co2_revisions: tuple[Co2Revision, ...] = Field((), description="what it replaced, the newest 50")
    recomputations: int = Field(0, ge=0, description="how often co2_g was computed again")
    duration_s: NonNegative | None = Field(None, description="sum over all attempts")
    accuracy_per_kwh: NonNegative | None = Field(None, description="best_accuracy / energy_kwh")

    carbon: CarbonPlan | None = Field(None, description="its last plan; None unless options.carbon is given")
    is_postponed: bool = Field(
        False, description="its worker was asked to stop because the plan says: later, or elsewhere"
    )
    carbon_outcome: CarbonOutcome | None = Field(None, description="None until it has ended")

    # As any: written as a union, each of its values would be tried as four types.
    environment: SerializeAsAny[dict[str, Scalar]] = Field(
        default_factory=dict, description="versions, device, threads, precision, git commit, intensity source"
    )
    error: RunError | None = None


class Lease(Record):
    """A worker's hold on a run. (attempt, worker_id) is the fence of every write."""

    run: Run
    attempt: int = Field(ge=1)
    worker_id: str

    @property
    def run_id(self) -> str:
        """The run that is held."""
        return self.run.run_id

    @property
    def num_epochs(self) -> int:
        """How many epochs it is to train; the queue takes no run that does not say it."""
        if self.run.num_epochs is None:
            raise ValueError(f"run {self.run_id} is not one of the queue")
        return self.run.num_epochs


class Deletion(Record):
    """What the deletion of a run takes away. What it used stays in the totals of its days and project."""

    run_id: str
    status: Status
    epochs: int = Field(ge=0)
    attempts: int = Field(ge=0)
    log_lines: int = Field(ge=0)
    points: int = Field(0, ge=0, description="of its metrics")
    notes: int = Field(0, ge=0)
    artifacts: int = Field(0, ge=0, description="versions of its artifacts")
    energy_kwh: NonNegative | None = Field(None, description="what training it again would use; or unknown")
    co2_g: NonNegative | None = None


class RunList(Record):
    """A page of a sorted list of runs."""

    runs: tuple[Run, ...]
    cursor: str | None = Field(None, description="leads to the next page; None on the last one")
    total: int = Field(ge=0, description="over all pages")
    counts: dict[Status, int] = Field(description="all runs by status, listed or not")


class Event(Record):
    """Something that happened to a run."""

    event_id: str = Field(description="ordered; pass the last one seen to get what came after it")
    time: AwareDatetime
    kind: str = Field(
        description="submitted, deferred, due, claimed, epoch, asked, released, requeued, preempted, paused, "
        "postponed, replanned, settled, resumed, prioritised, retried, recomputed, deleted, done, failed or "
        "cancelled; of an external run: started, reopened, asked, deleted, done, failed or cancelled; all: "
        "imported from a file, and amended (its tags, its params, or its figures after its end)"
    )
    run_id: str
    attempt: int | None = None
    epoch: int | None = None
    worker: str | None = None


class LogLine(Record):
    """One line of a run's log."""

    line_id: str = Field(description="ordered; pass the last one seen to get what came after it")
    time: AwareDatetime
    text: str


class PowerPoint(Record):
    """The mean power of a run in the interval that ends at ``at``."""

    at: AwareDatetime
    power_w: dict[str, NonNegative] = Field(
        description="by source, such as gpu:0, cpu; before the PUE factor"
    )


class UsagePoint(Record):
    """How busy a run's host and its training were, on average, in the interval that ends at ``at``."""

    at: AwareDatetime
    values: dict[str, Finite] = Field(description="by name and unit, such as cpu_percent; docs/worker.md")


class Worker(Record):
    """A worker as its last heartbeat described it."""

    worker_id: str
    name: str
    host: str
    pid: int
    device: str = Field(description="cpu or cuda:N")
    torch: str | None = Field(None, description="its version; None on a worker that cannot train with it")
    threads: int = Field(ge=1, description="CPU threads it trains with")
    queues: tuple[str, ...]
    gpus: int = Field(0, ge=0, description="GPUs a run may use here")
    gpu_memory_gib: NonNegative | None = Field(None, description="of its smallest GPU; None without one")
    zone: str | None = Field(None, description="whose electricity it uses; None when nobody said")
    is_draining: bool = Field(False, description="it takes no more runs and ends after the one it has")
    run_id: str | None = None
    epoch: int | None = Field(None, ge=0, description="epochs of its run that are recorded")
    started_at: AwareDatetime
    gone_at: AwareDatetime | None = Field(None, description="when its heartbeat expired; None while it lives")
    seen_at: AwareDatetime = Field(description="the last heartbeat, by the clock of Redis")
    energy_source: str | None = Field(None, description="what its meter reads, and how good that is")
    intensity_source: str | None = Field(None, description="zone, g/kWh and where the figure is from")
    power_w: NonNegative | None = Field(None, description="its part of the machine, now; None when unknown")
    memory_share: Fraction | None = Field(None, description="of its host's memory that is used")
    disk_share: Fraction | None = Field(None, description="of the disk with its data folder that is used")
    gpu: GpuState | None = Field(None, description="its first GPU; None without one that can be read")
    other_gpus: tuple[GpuState, ...] = Field((), description="further ones that its run trains on")
