"""What finished runs achieved for what they cost, ranked: records of the leaderboard."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from schema.external import check_printable
from schema.records import RUN_ID_PATTERN, EnergyQuality
from schema.values import Finite, Fraction, NonNegative, Record

Label = Annotated[str, StringConstraints(min_length=1, max_length=250), AfterValidator(check_printable)]


class RankField(StrEnum):
    """What finished runs can be ranked by."""

    ACCURACY_PER_KWH = "accuracy_per_kwh"
    ACCURACY = "accuracy"
    ENERGY_KWH = "energy_kwh"
    CO2_G = "co2_g"
    DURATION_S = "duration_s"
    PARAMETERS = "parameters"
    LAST_LOSS = "last_loss"
    EPOCHS_DONE = "epochs_done"
    ENDED_AT = "ended_at"
    NETWORK = "network"
    DEVICE = "device"
    PROJECT = "project"
    NAME = "name"


class CostField(StrEnum):
    """What accuracy is paid with; each has its own Pareto front."""

    CO2_G = "co2_g"
    ENERGY_KWH = "energy_kwh"
    DURATION_S = "duration_s"
    PARAMETERS = "parameters"


class FinishedRun(NamedTuple):
    """A run that is done and says what accuracy it reached, as far as a ranking needs it."""

    run_id: str
    name: str | None
    network: str | None
    dataset: str | None
    device: str | None
    project: str
    tags: tuple[str, ...]
    configuration: int
    """Of all runs whose hyper_params differ in nothing but their seed, on the same kind of device."""
    seed: float | None
    accuracy: float
    last_loss: float | None
    energy_kwh: float | None
    energy_quality: str | None
    co2_g: float | None
    duration_s: float | None
    parameters: float | None
    epochs_done: float
    ended_at_s: float | None
    simulated: bool
    is_external: bool


class Changes(NamedTuple):
    """What may have changed since somebody last looked."""

    cursor: str
    run_ids: frozenset[str]


class Spread(Record):
    """A figure of several runs."""

    n: int = Field(ge=1, description="runs in which it is known")
    median: Finite
    low: Finite = Field(description="the lowest")
    high: Finite = Field(description="the highest")


class SeedGroup(Record):
    """All finished runs of one configuration, which differ in their seeds alone."""

    key: str = Field(description="the same for all of them")
    runs: int = Field(ge=2)
    accuracy: Spread
    energy_kwh: Spread | None = Field(None, description="null where none of them knows it")
    co2_g: Spread | None = None
    duration_s: Spread | None = None
    is_mixed: bool = Field(description="some of their energy is measured, some is not")


class LeaderboardRow(Record):
    """A finished run and its rank."""

    rank: int = Field(ge=1)
    run_id: str
    name: str | None
    network: str | None = Field(description="null where the run does not say")
    dataset: str | None
    device: str | None = Field(description="name of its GPU, else cpu or cuda; null where it does not say")
    project: str
    tags: tuple[str, ...]
    seed: int | None
    accuracy: Fraction = Field(description="best test accuracy of any epoch")
    last_loss: Finite | None
    energy_kwh: NonNegative | None
    energy_quality: EnergyQuality | None
    co2_g: NonNegative | None
    duration_s: NonNegative | None
    accuracy_per_kwh: NonNegative | None = Field(description="null where its energy is 0 or unknown")
    parameters: int | None
    epochs_done: int
    ended_at: AwareDatetime | None
    simulated: bool = Field(description="never ranked above a real run")
    is_external: bool
    fronts: tuple[CostField, ...] = Field(description="the Pareto fronts it is on, among all that are ranked")
    seeds: SeedGroup | None = Field(description="null unless its configuration ran more than once")


class FrontPoint(Record):
    """A run that no other one outdoes: none is as accurate for less, or more accurate for as little."""

    run_id: str
    network: str | None
    accuracy: Fraction
    cost: NonNegative
    energy_quality: EnergyQuality | None


class Front(Record):
    """The Pareto front of accuracy against a cost, cheapest first."""

    cost: CostField
    total: int = Field(ge=0, description="runs on it")
    points: tuple[FrontPoint, ...] = Field(description="at most 500 of them, evenly thinned out")


class Choice(Record):
    """A value that runs have; null where they do not say."""

    value: str | None
    runs: int = Field(ge=1)


class LeaderboardReply(Record):
    """Finished runs of one dataset by rank, and what was chosen where the request did not say."""

    dataset: str | None
    min_accuracy: float = Field(description="runs below it are not ranked")
    best_accuracy: float | None = Field(description="null where there is no run")
    sort: RankField
    order: Literal["asc", "desc"]
    per: Literal["network", "all"]
    include_simulated: bool
    has_real: bool = Field(description="there is a finished run in the store that is not simulated")
    is_mixed: bool = Field(
        description="the energy of some that are ranked is measured, that of others is not: compare with care"
    )
    total: int = Field(ge=0, description="ranked runs, over all pages")
    rows: tuple[LeaderboardRow, ...]
    fronts: tuple[Front, ...]
    cursor: str | None = Field(description="leads to the next page; null on the last one")
    datasets: tuple[Choice, ...] = Field(description="that could be chosen, and how many runs each has")
    networks: tuple[Choice, ...] = Field(description="of that dataset")
    devices: tuple[Choice, ...]
    projects: tuple[Choice, ...]


class StatedResult(Record):
    """What a file says of a run that ended elsewhere."""

    run_id: str = Field(pattern=RUN_ID_PATTERN)
    network: Label | None = None
    dataset: Label | None = None
    accuracy: Fraction
    energy_kwh: NonNegative | None = Field(None, description="nobody says how it was found")
    co2_g: NonNegative | None = None
    duration_s: NonNegative
    simulated: bool = False

    @property
    def accuracy_per_kwh(self) -> float | None:
        """What it is by the other figures; None where its energy is 0 or unknown."""
        if not self.energy_kwh:
            return None
        found = self.accuracy / self.energy_kwh
        return found if math.isfinite(found) else None


class ImportRequest(Record):
    """The body of POST /api/leaderboard/import."""

    csv: str = Field(max_length=1_000_000, description="a leaderboard.csv, with its header")
    check: bool = Field(False, description="only say what would become of its rows; nothing is stored")


class ImportReply(Record):
    """What became of the rows of a file."""

    imported: int = Field(ge=0)
    known: int = Field(ge=0, description="rows whose run is here already; it stays as it is")
    rows: tuple[StatedResult, ...] = Field(
        (), exclude_if=lambda rows: not rows, description="of a check, the first 10 as they were read"
    )
