"""What somebody sees first: what runs, what has ended, what it cost, what needs attention."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, Field

from schema.leaderboard import Choice
from schema.records import Status
from schema.replies import RunReply
from schema.values import NonNegative, Record

NoticeKind = Literal["failed", "stuck", "worker", "alert", "store"]


class Notice(Record):
    """Something that needs a person."""

    kind: NoticeKind = Field(
        description="failed: runs, in the last 7 days; stuck: runs that wait and no live worker takes; "
        "worker: gone since yesterday; alert: raised since yesterday, but not that a run is done; "
        "store: how Redis is set up, or full"
    )
    text: str = Field(description="a sentence for a person")
    count: int = Field(1, ge=1, description="how many of them there are")
    run_id: str | None = Field(None, description="the run it is about, where it is one")


class WeekGrams(Record):
    """Emissions of all real runs, by day (UTC), of the reader's week from Monday on and of the one before."""

    monday: date = Field(description="of this week, in the time zone that was asked for")
    days: tuple[NonNegative | None, ...] = Field(
        description="grams of 14 days from the Monday before on; null for a day to come, or of which nothing "
        "is known"
    )
    co2_g: NonNegative | None = Field(description="of this week so far; null where nothing is known")
    last_co2_g: NonNegative | None = Field(description="of the whole week before")
    last_co2_g_by_then: NonNegative | None = Field(description="of the week before up to the same weekday")
    unknown_epochs: int = Field(ge=0, description="whose CO₂ is not known, of this week")


class HomeReply(Record):
    """The home page's look at everything; each list is short, and counts say how many there are."""

    time: AwareDatetime
    counts: dict[Status, int]
    live_workers: int = Field(ge=0)
    running: tuple[RunReply, ...] = Field(description="the 8 that were added last")
    remaining_s: dict[str, NonNegative] = Field(
        description="run id → about how long it will take still, from its newest epochs; where that is known"
    )
    since: AwareDatetime = Field(description="that was asked for; else 24 h ago")
    ended: tuple[RunReply, ...] = Field(description="since then, the newest end first; 8 of them")
    ended_counts: dict[Status, int] = Field(
        description="all that ended since then; of failed and cancelled ones those among the 200 added last"
    )
    week: WeekGrams
    notices: tuple[Notice, ...] = Field(description="the most urgent first")
    datasets: tuple[Choice, ...] = Field(description="of finished runs, that of most runs first")
