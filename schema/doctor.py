"""Whether everything Wattle stands on is as it should be: records of ``wattle doctor``."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from schema.values import Record

Place = Literal["here", "API"]
CheckState = Literal["ok", "warning", "failed"]
# Beyond that, times that two machines wrote down are out of order for people.
_CLOCK_S: Final = 2.0
_LEAST_FREE_BYTES: Final = 2 << 30
_NO_ROOM_BYTES: Final = 100 << 20


class Check(Record):
    """One thing that was looked at."""

    name: str = Field(description="such as redis, data folder, plug-ins")
    place: Place = Field(description="on whose machine: that of the command, or of the API")
    state: CheckState = Field(
        description="warning: Wattle works, with less than it could; failed: it does not"
    )
    found: str = Field(description="what there is, a sentence or a figure")
    remedy: str | None = Field(None, description="how to mend it; null where it is ok")


class DoctorReply(Record):
    """What was looked at, in order."""

    checks: tuple[Check, ...]


def check_clock(place: Place, *, told: datetime, own: datetime) -> Check:
    """Judge a clock by that of Redis, which counts for leases."""
    gap_s = abs((own - told).total_seconds())
    if gap_s <= _CLOCK_S:
        return Check(name="clock", place=place, state="ok", found=f"{gap_s:.1f} s from that of Redis")
    remedy = "Let both machines follow a time server, as with 'timedatectl set-ntp true'."
    found = f"{gap_s:,.0f} s from that of Redis: times are out of order"
    return Check(name="clock", place=place, state="warning", found=found, remedy=remedy)


def check_disk(place: Place, folder: str, *, free_bytes: int, is_writable: bool) -> Check:
    """Judge the data folder by what is free on its disk."""
    found = f"{folder}: {free_bytes / 2**30:,.1f} GiB free"
    if not is_writable:
        remedy = "Give this user the folder, or set WATTLE_DATA_DIR to one of its own."
        found = f"{folder} cannot be written to"
        return Check(name="data folder", place=place, state="failed", found=found, remedy=remedy)
    if free_bytes >= _LEAST_FREE_BYTES:
        return Check(name="data folder", place=place, state="ok", found=found)
    state: CheckState = "failed" if free_bytes < _NO_ROOM_BYTES else "warning"
    remedy = "Make room, or set WATTLE_DATA_DIR to a folder on a larger disk."
    return Check(name="data folder", place=place, state=state, found=found, remedy=remedy)
