"""When and where a run is to run so that its electricity is clean: what is wished, planned and achieved."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

from schema.moment import Moment
from schema.values import Finite, NonNegative, Record, Zone

MAX_DELAY_H = 336
MAX_ZONES = 16
MAX_WINDOWS = 48

Policy = Literal["adaptive", "threshold"]
Week = Annotated[str, StringConstraints(pattern=r"^\d{4}-W\d{2}$")]


class CarbonOptions(Record):
    """What a run may do to be trained with clean electricity. ``zone`` is accepted for ``zones`` of one."""

    policy: Policy = Field(
        "adaptive", description="adaptive: planned from the forecast each hour; threshold: waits below one"
    )
    deadline: Moment | None = Field(None, description="when it has to be done, whatever that emits")
    max_delay_h: float | None = Field(
        None,
        gt=0,
        le=MAX_DELAY_H,
        strict=True,
        allow_inf_nan=False,
        description="from its submission to its start. With a deadline, the earlier one counts; without "
        "either it is 24",
    )
    zones: tuple[Zone, ...] | None = Field(
        None,
        min_length=1,
        max_length=MAX_ZONES,
        description="where it may run, such as DE; None for the zone of the installation",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        strict=True,
        allow_inf_nan=False,
        description="gCO₂e/kWh, with the policy threshold alone; None for the lowest third of the zone's "
        "history",
    )
    interruptible: bool = Field(
        True, strict=True, description="it may be stopped while the grid is dirty, and goes on later"
    )
    max_co2_g: float | None = Field(
        None,
        gt=0,
        strict=True,
        allow_inf_nan=False,
        description="it is stopped before it emits more, counted as its co2_g",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_one_zone(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "zone" not in values:
            return values
        if values.get("zones") is not None:
            raise ValueError("give zone or zones, not both")
        rest = {name: value for name, value in values.items() if name != "zone"}
        return rest if values["zone"] is None else {**rest, "zones": (values["zone"],)}

    @field_validator("zones")
    @classmethod
    def _name_each_zone_once(cls, zones: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if zones and len({zone.lower() for zone in zones}) < len(zones):
            raise ValueError("should name each zone once")
        return zones

    @model_validator(mode="after")
    def _use_the_threshold(self) -> Self:
        if self.threshold is not None and self.policy != "threshold":
            raise ValueError("threshold counts with the policy threshold only: set policy to threshold")
        return self


class PlannedWindow(Record):
    """A span of time in which a run is to run, and the mean intensity that is expected in it."""

    start: AwareDatetime
    end: AwareDatetime
    g_per_kwh: NonNegative


class ZoneStay(Record):
    """Where a run was before it moved: its attempts up to this one, from the end of the stay before on."""

    until_attempt: int = Field(ge=1)
    zone: Zone


class CarbonPlan(Record):
    """When and where a run is to run, and what that saves against starting at once.

    Without intensities it is to run at once: then nothing is expected, and ``reason`` says what is missing.
    """

    made_at: AwareDatetime
    next_at: AwareDatetime = Field(description="when it is planned again, unless it has ended by then")
    policy: Policy
    method: str = Field(description="of the forecast; how it was planned where there is none")
    zone: Zone | None = Field(description="where it is to run; None when nobody said")
    provider: str | None = Field(None, description="whose intensities; None where there are none")
    basis: str | None = Field(None, description="average or marginal, lifecycle or direct; never mixed")
    start_at: AwareDatetime = Field(description="it is deferred until then; made_at or before: at once")
    deferred_until: AwareDatetime | None = Field(
        None,
        description="its plan kept it from its first attempt until then; None: never",
    )
    end_at: AwareDatetime
    deadline: AwareDatetime = Field(description="when it has to be done")
    windows: tuple[PlannedWindow, ...] = Field((), max_length=MAX_WINDOWS, description="oldest first")
    duration_s: NonNegative = Field(description="of the work that is left, with a margin")
    duration_from: str = Field(description="how that is known: which past runs, or a guess; for a person")
    g_per_kwh: NonNegative | None = Field(None, description="mean over the windows")
    run_now_g_per_kwh: NonNegative | None = Field(None, description="mean if it started at once")
    expected_co2_g: NonNegative | None = Field(None, description="None while its energy is unknown")
    run_now_co2_g: NonNegative | None = Field(None, description="None while its energy is unknown")
    saving: Finite = Field(0.0, le=1, description="the share that is saved against starting at once")
    reason: str = Field(max_length=1_000, description="why so, a sentence for a person")
    stays: tuple[ZoneStay, ...] = Field((), description="in other zones before this one, oldest first")
    is_override: bool = Field(False, description="run now was asked for: it is planned no more")


class CarbonOutcome(Record):
    """What a run that has ended emitted, and what it would have emitted had it run at once."""

    week: Week = Field(description="ISO week (UTC) it ended in, in whose savings it counts")
    energy_kwh: NonNegative | None = Field(None, description="what the figures are of")
    co2_g: NonNegative | None = Field(None, description="None when unknown; see reason")
    run_now_co2_g: NonNegative | None = None
    saved_g: Finite | None = Field(None, description="run_now_co2_g - co2_g: less than 0 where it cost some")
    zone: str | None = None
    provider: str | None = None
    basis: str | None = None
    paused_s: NonNegative = Field(0.0, description="between its attempts, waiting for clean electricity")
    pauses: int = Field(0, ge=0)
    reason: str | None = Field(None, description="why a figure is unknown")


class SavedWeek(Record):
    """What the runs that ended in a week saved against running at once."""

    week: Week
    runs: int = Field(0, ge=0)
    energy_kwh: NonNegative = 0.0
    co2_g: NonNegative = 0.0
    run_now_co2_g: NonNegative = 0.0
    saved_g: Finite = 0.0


class RecordedIntensities(Record):
    """What was recorded of a zone on an even grid of time; None is a value missing at the source."""

    zone: Zone
    provider: str = Field(pattern=r"^[0-9a-z_-]{1,32}$")
    basis: str
    start: AwareDatetime
    step_s: int = Field(gt=0, le=86_400)
    g_per_kwh: tuple[Finite | None, ...]
