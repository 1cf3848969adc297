"""What the energy and CO₂ of runs add up to, are predicted to be, and compare with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, JsonValue

from schema.carbon import CarbonPlan
from schema.records import (
    Co2Revision,
    Co2Source,
    EnergyQuality,
    EpochResult,
    ExtraCost,
    PowerPoint,
    RunOptions,
)
from schema.values import Finite, Fraction, NonNegative, Record

# The dirtiest power plants emit some 1,500 g per kWh. What is far beyond is no intensity, and a single absurd
# one would leave nothing of a day's or a project's total.
MAX_G_PER_KWH: Final = 100_000


def day_of(time: datetime | None) -> str:
    """Return the day on which a cost counts, in UTC as YYYY-MM-DD; 1970-01-01 when there is no time."""
    # To the second, as ends of epochs are stored: the last moment of a day may then be in the next one.
    stamp = round(time.timestamp()) if time else 0
    return f"{datetime.fromtimestamp(stamp, UTC):%Y-%m-%d}"


class Cost(Record):
    """What epochs used. A sum leaves out what is unknown; the counts say how many epochs that are."""

    energy_kwh: NonNegative | None = Field(None, description="None when no epoch's is known")
    co2_g: NonNegative | None = Field(None, description="None when no epoch's is known")
    duration_s: NonNegative = 0.0
    epochs: int = Field(0, ge=0, description="recorded, of all attempts")
    extras: int = Field(0, ge=0, description="parts that are no epochs: trials, compiling, unfinished epochs")
    unknown_energy_epochs: int = Field(0, ge=0, description="epochs and extras that are not in energy_kwh")
    unknown_co2_epochs: int = Field(0, ge=0, description="epochs and extras that are not in co2_g")


class Equivalent(Record):
    """A mass of CO₂ as something people know."""

    name: str
    amount: NonNegative
    unit: str
    source: str = Field(description="who publishes the figure, which one, and of which year")


class Total(Record):
    """The cost of a day (UTC) or of a project; that of simulated runs stands apart."""

    name: str = Field(description="a day as YYYY-MM-DD, or a project")
    real: Cost
    simulated: Cost
    equivalents: list[Equivalent] = Field(description="of the real CO₂; empty when none is known")


class TotalsReply(Record):
    """Totals, days oldest first, projects by name."""

    by: Literal["day", "project"]
    totals: list[Total]


class IntensityValue(Record):
    """The intensity in an interval, its end not included."""

    start: AwareDatetime
    end: AwareDatetime
    g_per_kwh: Annotated[Finite, Field(ge=0, le=MAX_G_PER_KWH)]


class RecomputeRequest(Record):
    """Intensities of one zone and provider, on one basis; {} for the present one of the run's own zone."""

    zone: str | None = Field(None, min_length=1, max_length=64)
    provider: str | None = Field(None, min_length=1, max_length=64)
    basis: Literal["average lifecycle", "average direct", "marginal lifecycle", "marginal direct"] | None = (
        None
    )
    values: list[IntensityValue] = Field([], max_length=20_000, description="oldest first, no overlaps")


class RecomputeReply(Record):
    """What a recomputation did to a run's CO₂."""

    iid: str
    changed: bool = Field(description="false when the figures were these already")
    co2_g: NonNegative | None
    source: Co2Source
    replaced: Co2Revision | None = Field(None, description="what was replaced; null when nothing changed")
    unknown_co2_epochs: int = Field(
        ge=0, description="epochs and extras that no intensity covers, or without energy"
    )


class Recomputation(Record):
    """New CO₂ figures of a run, as the store takes them over all at once."""

    run_id: str
    attempt: int
    recomputations: int = Field(ge=0, description="of the run that was read; another one refuses them")
    epochs: tuple[EpochResult, ...]
    superseded: tuple[EpochResult, ...]
    extras: tuple[ExtraCost, ...] = ()
    co2_g_by_attempt: dict[int, float | None]
    co2_g: NonNegative | None
    source: Co2Source
    replaced: Co2Revision
    project: str
    day_changes: dict[str, tuple[float, int]] = Field(
        description="day → change of co2_g and of unknown epochs"
    )


class Estimate(Record):
    """A predicted quantity and its 90 % interval; a bound is None when nothing is known about it."""

    value: NonNegative
    low: NonNegative | None = None
    high: NonNegative | None = None


class PredictRequest(Record):
    """The body of POST /api/predict, as of POST /train."""

    hyper_params: dict[str, JsonValue]
    options: RunOptions = RunOptions()


class Prediction(Record):
    """What a whole run will take; None where nothing is known, and then ``basis`` says why."""

    energy_kwh: Estimate | None = None
    co2_g: Estimate | None = None
    duration_s: Estimate | None = None
    ends_at: AwareDatetime | None = Field(None, description="of a run that is running")
    energy_quality: EnergyQuality | None = Field(None, description="of the figures it is made from")
    basis: str = Field(description="a sentence: from what, and how")
    runs_used: list[str] = Field(description="the past runs it is made from")
    plan: CarbonPlan | None = Field(
        None, description="of a submission with options.carbon: when and where it would run"
    )


class Baseline(Record):
    """The medians of the other done runs of the same dataset."""

    runs: int = Field(ge=1)
    accuracy: Fraction | None = Field(None, description="best test accuracy")
    energy_kwh: NonNegative | None = None
    co2_g: NonNegative | None = Field(None, description="of those with the same provider and basis of CO₂")


class AccountReply(Record):
    """What stands behind a run's energy and CO₂, and what they come to."""

    iid: str
    energy_by_source: dict[str, float] | None = Field(None, description="kWh of IT energy, recorded epochs")
    pue: float | None = Field(None, description="the data centre's overhead that energy_kwh includes")
    above_idle_kwh: NonNegative | None = Field(
        None, description="energy_kwh without the idle power before it"
    )
    above_idle_reason: str | None = Field(None, description="why that is None")
    codecarbon_energy_kwh: NonNegative | None = None
    error_share: NonNegative | None = Field(None, description="the bound of energy_kwh's error, as its share")
    error_reason: str | None = Field(None, description="where that bound comes from")
    test_images: int | None = None
    g_per_correct: NonNegative | None = Field(
        None, description="co2_g / (best_accuracy × test_images): grams per test image classified rightly"
    )
    accuracy_per_kwh: NonNegative | None = None
    equivalents: list[Equivalent]
    co2_source: Co2Source | None = None
    baseline: Baseline | None = Field(None, description="once the run has ended")
    prediction: Prediction | None = Field(None, description="while it is running")


class PowerReply(Record):
    """The power of a run's host over time, oldest first."""

    points: tuple[PowerPoint, ...]
