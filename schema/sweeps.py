"""Sweeps: a search space, how it is searched, what the search may use, and what its trials achieved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints, model_validator

from schema.moment import Moment
from schema.records import RunOptions
from schema.values import Finite, NonNegative, Record

SWEEP_ID_PATTERN: Final = r"^[0-9a-f]{32}$"
# The tag that every run of a sweep has begins so, and goes on with the sweep's id.
SWEEP_TAG: Final = "sweep:"
TRIAL_TAG: Final = "trial:"
MAX_TRIALS: Final = 10_000
MAX_PARAMS: Final = 50
MAX_CHOICES: Final = 100
MAX_PARALLEL: Final = 256
MAX_SWEEPS: Final = 1_000
# As fine as a float can be; Optuna fails where a step is much finer.
_MOST_STEPS: Final = 2**53
_OWN_TAGS: Final = 2
_MOST_TAGS: Final = 32

SweepName = Annotated[
    str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")
]
ParamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Choice = Annotated[str, StringConstraints(max_length=255)] | bool | int | Finite | None
ParamValue = str | bool | int | float | None


class FloatRange(Record):
    """Numbers from ``low`` to ``high``, both included."""

    type: Literal["float"]
    low: Finite
    high: Finite
    log: bool = Field(False, description="as many between 0.001 and 0.01 as between 0.01 and 0.1")
    step: float | None = Field(None, gt=0, allow_inf_nan=False, description="of the grid they lie on")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, is_log=self.log, has_step=self.step is not None)
        if self.step is not None and (self.high - self.low) / self.step > _MOST_STEPS:
            raise ValueError(f"a step of {self.step:g} is too small for the range: raise it, or leave it out")
        return self


class IntRange(Record):
    """Whole numbers from ``low`` to ``high``, both included."""

    type: Literal["int"]
    low: int = Field(ge=-(2**53), le=2**53)
    high: int = Field(ge=-(2**53), le=2**53)
    log: bool = False
    step: int = Field(1, ge=1, description="how far apart they are")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, is_log=self.log, has_step=self.step != 1)
        return self


class Choices(Record):
    """One of a few values."""

    type: Literal["categorical"]
    choices: tuple[Choice, ...] = Field(min_length=1, max_length=MAX_CHOICES)

    @model_validator(mode="after")
    def _check(self) -> Self:
        # 1, 1.0 and True are one key to Python, and three values to a trainer.
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError("a choice stands there twice: leave one of them out")
        return self


Dimension = Annotated[FloatRange | IntRange | Choices, Field(discriminator="type")]


def _check_range(low: float, high: float, *, is_log: bool, has_step: bool) -> None:
    if low > high:
        raise ValueError(f"low is {low:g} and high {high:g}: swap them")
    if not math.isfinite(high - low):
        raise ValueError("nothing can be drawn from a range of that width: make it narrower")
    if is_log and low <= 0:
        raise ValueError(
            f"a logarithmic range begins above 0, and low is {low:g}: raise it, or set log to false"
        )
    if is_log and has_step:
        raise ValueError("a logarithmic range has no step: leave one of the two out")


class Objective(StrEnum):
    """What a sweep can be about; of an epoch's figures the best epoch's counts."""

    VALIDATION_ACCURACY = "validation_accuracy"
    VALIDATION_LOSS = "validation_loss"
    TEST_ACCURACY = "test_accuracy"
    TEST_LOSS = "test_loss"
    CO2_G = "co2_g"
    ENERGY_KWH = "energy_kwh"
    DURATION_S = "duration_s"

    @property
    def is_maximised(self) -> bool:
        """True of accuracies; everything else is to be small."""
        return self in (Objective.VALIDATION_ACCURACY, Objective.TEST_ACCURACY)

    @property
    def is_of_epochs(self) -> bool:
        """True of what every epoch has anew, by which a trial can be pruned."""
        return self not in (Objective.CO2_G, Objective.ENERGY_KWH, Objective.DURATION_S)

    @property
    def needs_validation(self) -> bool:
        """True where a run without a validation part has no such figure."""
        return self in (Objective.VALIDATION_ACCURACY, Objective.VALIDATION_LOSS)


class Sampler(StrEnum):
    """How the next trial's values are chosen."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"
    NSGA2 = "nsga2"


class Pruner(StrEnum):
    """Which trials are ended early, by the results of their epochs."""

    NONE = "none"
    MEDIAN = "median"
    HALVING = "successive_halving"


class SweepLimits(Record):
    """What a sweep may use; once it has, no trial is begun any more; those that train go on."""

    trials: int = Field(20, ge=1, le=MAX_TRIALS, strict=True)
    energy_wh: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of all trials, also pruned ones"
    )
    co2_g: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of all trials, also pruned ones"
    )
    hours: float | None = Field(None, gt=0, le=24 * 366, description="since it was started, pauses included")
    end_at: Moment | None = None


class SweepRequest(Record):
    """A sweep as somebody asks for it."""

    name: SweepName = "sweep"
    hyper_params: dict[str, JsonValue] = Field(
        default_factory=dict, description="what is the same for all trials, as for POST /train"
    )
    options: RunOptions = Field(RunOptions(), description="how its trials are run, as for POST /train")
    space: dict[ParamName, Dimension] = Field(
        min_length=1, max_length=MAX_PARAMS, description="hyperparameter → the values it may have"
    )
    objectives: tuple[Objective, ...] | None = Field(
        None,
        min_length=1,
        max_length=3,
        description="without it validation_accuracy, for nsga2 also co2_g; several make a Pareto front",
    )
    sampler: Sampler = Sampler.TPE
    pruner: Pruner = Pruner.NONE
    limits: SweepLimits = SweepLimits()
    parallel: int | None = Field(
        None,
        ge=1,
        le=MAX_PARALLEL,
        description="trials at once; without it, as many as live workers can take",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="of the sampler")

    @model_validator(mode="after")
    def _check(self) -> Self:
        objectives = self.goals
        if len(set(objectives)) < len(objectives):
            raise ValueError("objectives: one stands there twice")
        if self.sampler is Sampler.NSGA2 and len(objectives) < 2:
            raise ValueError("objectives: nsga2 weighs two or three, such as validation_accuracy and co2_g")
        if self.pruner is not Pruner.NONE and (len(objectives) > 1 or not objectives[0].is_of_epochs):
            raise ValueError(
                "pruner: trials are pruned by the one accuracy or loss of the sweep; set pruner to none, "
                "or one such objective"
            )
        if len(self.options.tags) > _MOST_TAGS - _OWN_TAGS:
            raise ValueError(f"options.tags: at most {_MOST_TAGS - _OWN_TAGS}, the sweep adds two of its own")
        if self.options.start_at is not None:
            raise ValueError(
                "options.start_at: trials follow one another; leave it out, or start the sweep then"
            )
        return self

    @property
    def goals(self) -> Sequence[Objective]:
        """The objectives, also where none were given."""
        if self.objectives is not None:
            return self.objectives
        second = (Objective.CO2_G,) if self.sampler is Sampler.NSGA2 else ()
        return (Objective.VALIDATION_ACCURACY, *second)


class SweepState(StrEnum):
    """Where a sweep stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True when no trial will be begun any more, and none is left."""
        return self in (SweepState.DONE, SweepState.STOPPED, SweepState.FAILED)


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Trial(Record):
    """One trial of a sweep, and the run that it is."""

    number: int = Field(ge=0)
    run_id: str
    state: TrialState
    params: dict[str, ParamValue]
    values: tuple[Finite, ...] | None = Field(None, description="of the objectives; of a pruned one, so far")
    is_best: bool = Field(False, description="no other trial is better in all that the sweep is about")
    reason: str | None = Field(None, description="why it was pruned or has failed")
    epochs_done: int = Field(0, ge=0)
    accuracy: Finite | None = Field(
        None, description="the best of its epochs, of the validation part if it has one"
    )
    energy_kwh: NonNegative | None = None
    co2_g: NonNegative | None = None
    duration_s: NonNegative | None = None
    saved_co2_g: NonNegative | None = Field(
        None, description="estimate: epochs left out by pruning × the grams of one of its own epochs"
    )
    saved_energy_kwh: NonNegative | None = Field(None, description="the same of its energy")


class SweepSummary(Record):
    """What a sweep has achieved and used so far, of all trials, also of failed and pruned ones."""

    counts: dict[TrialState, int] = Field(default_factory=dict)
    energy_kwh: NonNegative = Field(0.0, description="of the trials and epochs whose energy is known")
    co2_g: NonNegative = Field(0.0, description="the same of CO₂")
    duration_s: NonNegative = 0.0
    unknown: int = Field(0, ge=0, description="trials of which a part of the energy or CO₂ is not known")
    saved_co2_g: NonNegative = Field(0.0, description="by pruning, an estimate")
    saved_energy_kwh: NonNegative = Field(0.0, description="by pruning, an estimate")
    best: tuple[Trial, ...] = Field((), description="the best trial; of several objectives 20 of the front")
    limit: str | None = Field(None, description="the limit that was reached; None while trials are begun")

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return sum(self.counts.values())


class Sweep(Record):
    """A sweep from its request to its end."""

    sweep_id: str = Field(pattern=SWEEP_ID_PATTERN)
    request: SweepRequest = Field(description="complete: with the objectives and what they need")
    state: SweepState
    reason: str | None = Field(None, description="why it has this state, for a person")
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    summary: SweepSummary = SweepSummary()


class SweepsReply(Record):
    """The sweeps, newest first."""

    sweeps: tuple[Sweep, ...]


class TrialsReply(Record):
    """The trials of a sweep, by number."""

    trials: tuple[Trial, ...]


class SweepFigures(Record):
    """Optuna's own figures of a sweep as Plotly JSON; what cannot be drawn yet says why."""

    history: tuple[str, ...] = Field(description="one per objective")
    importances: str | None = None
    front: str | None = Field(
        None, description="accuracy against CO₂, or of the objectives where they are two or three"
    )
    missing: dict[str, str] = Field(default_factory=dict, description="figure → why it is not there")


def without_trial(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of a run as they are for one that repeats it: that is no trial of its sweep."""
    return tuple(tag for tag in tags if not tag.startswith((SWEEP_TAG, TRIAL_TAG)))
