"""Which configuration to use under given limits: records of the recommender."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

from pydantic import Field, JsonValue, model_validator

from schema.leaderboard import Choice, Spread
from schema.records import EnergyQuality
from schema.values import Fraction, NonNegative, Record

DEFAULT_TOLERANCE: Final = 0.01


class Goal(StrEnum):
    """What is asked of those that keep to the limits."""

    FEWEST_GRAMS = "fewest_grams"
    HIGHEST_ACCURACY = "highest_accuracy"


class Limit(StrEnum):
    """What can be asked of a configuration."""

    TOLERANCE = "tolerance"
    MAX_CO2_G = "max_co2_g"
    MAX_DURATION_S = "max_duration_s"
    MAX_ENERGY_KWH = "max_energy_kwh"


class Limits(Record):
    """What a configuration has to keep to, and among which ones to look."""

    dataset: str | None = Field(
        None, max_length=250, description="without it, that of most runs; empty for runs that name none"
    )
    device: str | None = Field(
        None, max_length=250, description="name of the GPU, cpu or cuda; empty for runs that do not say"
    )
    simulated: bool | None = Field(
        None,
        description="true for simulated runs alone, false for real ones; without it, simulated ones only "
        "while no run that is done is a real one",
    )
    target_accuracy: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="with it, the fewest grams near it are sought"
    )
    tolerance: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description=f"how far from target_accuracy is near; {DEFAULT_TOLERANCE} without it",
    )
    max_co2_g: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_duration_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_energy_kwh: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_tolerance(self) -> Self:
        if self.tolerance is not None and self.target_accuracy is None:
            raise ValueError("A tolerance needs a target_accuracy to be near to.")
        return self

    @property
    def goal(self) -> Goal:
        """What is sought among those that keep to the limits."""
        return Goal.HIGHEST_ACCURACY if self.target_accuracy is None else Goal.FEWEST_GRAMS

    @property
    def near(self) -> float:
        """The tolerance with its default filled in."""
        return DEFAULT_TOLERANCE if self.tolerance is None else self.tolerance


class Candidate(Record):
    """A configuration: all finished runs that differ in their seeds alone, on the same kind of device."""

    run_id: str = Field(description="the run whose accuracy is nearest to the median")
    name: str | None
    network: str | None
    dataset: str | None
    device: str | None
    parameters: int | None
    runs: int = Field(ge=1, description="that stand behind it")
    accuracy: Spread
    energy_kwh: Spread | None = Field(description="null where none of them knows it")
    co2_g: Spread | None
    duration_s: Spread | None
    energy_quality: EnergyQuality | None = Field(
        description="of all of them; null where it is mixed, or nobody said it"
    )
    is_mixed: bool = Field(description="some of their energy is measured, some is not")
    simulated: bool
    is_external: bool


class Beaten(Record):
    """A configuration that keeps to the limits too, and why it is not the answer."""

    candidate: Candidate
    reason: str


class Answer(Record):
    """The configuration to use."""

    candidate: Candidate
    hyper_params: dict[str, JsonValue] | None = Field(
        None, description="of its run, to be submitted again; null for a run of somebody's own script"
    )
    beats: tuple[Beaten, ...] = Field(description="the next best ones, at most 5")
    more_for_less: Candidate | None = Field(
        None, description="one that is more accurate than asked for, and costs no more grams"
    )


class Change(Record):
    """A limit that stands in the way."""

    limit: Limit
    asked: NonNegative
    needed: NonNegative = Field(description="with it, rounded up to three digits, there is an answer")
    by: NonNegative = Field(description="how much more that is")


class Relaxation(Record):
    """Limits to relax, and what is then found."""

    changes: tuple[Change, ...]
    candidate: Candidate
    reason: str


class RecommendReply(Record):
    """The configuration to use, or what to ask for instead."""

    dataset: str | None
    device: str | None
    simulated: bool = Field(description="all of it is about simulated runs: their figures are made up")
    has_real: bool = Field(description="there is a finished run in the store that is not simulated")
    goal: Goal
    target_accuracy: Fraction | None
    tolerance: Fraction | None
    answer: Answer | None = Field(description="null where no configuration keeps to the limits")
    reason: str
    relaxations: tuple[Relaxation, ...] = Field(description="the smallest step first; empty with an answer")
    configurations: int = Field(ge=0, description="of the dataset and device")
    runs: int = Field(ge=0, description="of those configurations")
    fitting: int = Field(ge=0, description="configurations that keep to the limits")
    unknown: int = Field(ge=0, description="left out: they do not know what is asked about")
    is_mixed: bool = Field(
        description="the energy of some that were compared is measured, that of others is not"
    )
    datasets: tuple[Choice, ...]
    devices: tuple[Choice, ...] = Field(description="that have runs of the dataset")
