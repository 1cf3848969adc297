"""What the API answers about the electricity of zones: as it is, is expected, was, and what runs saved."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from schema.carbon import PlannedWindow, SavedWeek
from schema.values import Finite, Fraction, NonNegative, Record

MONTHS, HOURS = 12, 24


class IntensityReply(Record):
    """The intensity of a zone in force now, or the newest that is known."""

    zone: str
    g_per_kwh: NonNegative
    provider: str
    basis: str = Field(description="average or marginal, lifecycle or direct; never mixed")
    at: AwareDatetime | None = Field(description="from when on it is in force; null for a yearly average")
    is_estimated: bool | None = Field(None, description="null where the provider does not say")
    renewable_share: Fraction | None = Field(None, description="null where the provider does not say")
    lower_share: Fraction | None = Field(
        None, description="share of the recorded history that was lower; null without one"
    )


class ForecastPoint(Record):
    """What is expected from ``start`` on for one step."""

    start: AwareDatetime
    g_per_kwh: NonNegative
    low: NonNegative | None = Field(None, description="8 in 10 lie between low and high; null when unknown")
    high: NonNegative | None = None


class ForecastReply(Record):
    """What is expected of a zone, oldest first; the first point is the slot in force."""

    zone: str
    provider: str
    basis: str
    made_at: AwareDatetime
    step_s: NonNegative
    method: str
    points: list[ForecastPoint]


class WindowReply(Record):
    """The cleanest time for work of a length, within the forecast."""

    zone: str
    provider: str
    basis: str
    duration_h: NonNegative
    start_at: AwareDatetime
    end_at: AwareDatetime
    windows: list[PlannedWindow] = Field(description="one, unless the work may be interrupted")
    g_per_kwh: NonNegative
    run_now_g_per_kwh: NonNegative
    saving: Finite = Field(description="the share that is saved against starting now")
    horizon_end: AwareDatetime = Field(description="where the forecast ends: nothing is planned beyond")
    method: str


class HistoryReply(Record):
    """Mean intensity by month and hour of the day (UTC), as it was recorded."""

    zone: str
    provider: str
    basis: str
    start: AwareDatetime
    end: AwareDatetime
    step_s: NonNegative
    values: int = Field(ge=0, description="slots with a value")
    mean_g_per_kwh: NonNegative
    means: list[list[NonNegative | None]] = Field(
        description="12 months, January first, of 24 hours; null where nothing is recorded"
    )


class SavingsReply(Record):
    """What runs saved against running at once, by week, oldest first; realised, not expected."""

    weeks: list[SavedWeek]
    saved_g: Finite = Field(description="over these weeks")


class ZoneReply(Record):
    """A zone in which a worker lives, or that of the installation."""

    zone: str
    name: str | None = Field(description="null for a zone that is in no table")
    is_home: bool = Field(description="the zone of the installation, WATTLE_ZONE")
    workers: int = Field(ge=0, description="live ones")
    g_per_kwh: NonNegative | None = Field(None, description="in force; null when unknown, see reason")
    provider: str | None = None
    basis: str | None = Field(None, description="compare zones of one provider and basis only")
    reason: str | None = Field(None, description="why nothing is known")


class KnownZone(Record):
    """A zone that can be asked for."""

    zone: str
    name: str


class ZonesReply(Record):
    """The zones in use, the installation's first, and those the provider has."""

    zones: list[ZoneReply]
    known: list[KnownZone] = Field(description="of the provider's table; [] for a file of traces")
