"""How far exporters have come, and what plug-ins there are."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from schema.values import Record


class Ended(Record):
    """An end of a run, as exporters follow them."""

    place: str = Field(description="where to go on from")
    run_id: str
    attempt: int | None = Field(None, description="that ended; None where nobody says")


class ExportState(Record):
    """How far an exporter has come."""

    cursor: str | None = Field(None, description="the last end that is done; None before it has begun")
    last_run: str | None = Field(None, description="whose end that is")
    exported: int = Field(0, ge=0)
    skipped: int = Field(0, ge=0, description="runs that it will never take")
    failures: int = Field(0, ge=0, description="in a row")
    error: str | None = Field(None, description="of the last one; None while all is well")
    run_id: str | None = Field(None, description="which run it failed with")
    next_at: AwareDatetime | None = Field(None, description="when it is tried again")


class PluginReply(Record):
    """A plug-in, or an exporter that is switched on, and whether it works."""

    group: str = Field(description="wattle.trainers, wattle.providers, wattle.meters or wattle.exporters")
    name: str
    state: Literal["ok", "broken", "failing"] = Field(
        description="broken: it cannot be loaded; failing: an exporter that is tried again"
    )
    detail: str | None = Field(None, description="why, or how far it has come")
