"""Which configuration to try next: records of what was asked, expected, and how far to trust it."""

from __future__ import annotations

from pydantic import Field, JsonValue

from schema.recommend import Candidate
from schema.values import Finite, Fraction, NonNegative, Record

LEAST_CONFIGURATIONS = 12


class NextQuery(Record):
    """Among which finished runs to look for what to try next."""

    dataset: str | None = Field(
        None, max_length=250, description="without it, that of most runs; empty for runs that name none"
    )
    device: str | None = Field(
        None, max_length=250, description="without it, that of most runs; empty for runs that do not say"
    )
    simulated: bool | None = Field(
        None, description="as in /api/recommend; the two are never mixed in what is learnt from"
    )
    max_co2_g: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="nothing is proposed that is expected to emit more"
    )


class Expected(Record):
    """What a model expects, and one standard deviation to both sides of it."""

    value: NonNegative
    low: NonNegative
    high: NonNegative


class HeldOut(Record):
    """How the models predicted configurations they had not seen, and how their median would have done."""

    configurations: int = Field(ge=1, description="each held out once, a fifth of them at a time")
    accuracy_error: NonNegative = Field(description="mean distance from what it was, as a fraction")
    median_accuracy_error: NonNegative
    co2_factor: Finite = Field(ge=1, description="mean factor, up or down, from what it was")
    median_co2_factor: Finite = Field(ge=1)


class Difference(Record):
    """A hyperparameter in which the proposal is not as the best configuration so far."""

    name: str
    value: JsonValue
    best: JsonValue


class Trial(Record):
    """A configuration that nobody has run, and what is expected of it."""

    hyper_params: dict[str, JsonValue] = Field(description="as they can be submitted")
    differences: tuple[Difference, ...]
    accuracy: Expected
    co2_g: Expected
    improvement: Fraction = Field(description="expected gain over the best accuracy; no loss counts")
    improvement_per_g: NonNegative


class NextReply(Record):
    """What to try next, or why nothing can be said."""

    dataset: str | None
    device: str | None
    simulated: bool
    is_working: bool = Field(description="it is being worked out: ask again in a second")
    trial: Trial | None
    best: Candidate | None = Field(description="the most accurate so far, within max_co2_g")
    reason: str
    configurations: int = Field(ge=0, description="of the dataset and device whose CO₂ is known")
    needed: int = Field(description="the least number of them that anything is learnt from")
    learnt_from: int = Field(ge=0, description="configurations the models were made of")
    runs: int = Field(ge=0, description="of those")
    held_out: HeldOut | None
    is_mixed: bool = Field(description="the energy of some was measured, that of others was not")
