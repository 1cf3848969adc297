"""Quiet hours: a span of each day in which only urgent rules are told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from errors import InvalidInput

_FORM: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*[-–]\s*([01]?\d|2[0-3]):([0-5]\d)(?:\s+(\S+))?")


@dataclass(frozen=True)
class QuietHours:
    """From ``start`` on and before ``end``, in ``zone``; over midnight when ``end`` is the earlier one."""

    start: time
    end: time
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Read ``22:00-07:00 Europe/Berlin``. Raises InvalidInput when it is something else."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise InvalidInput("WATTLE_QUIET_HOURS should be a span such as 22:00-07:00 Europe/Berlin.")
        hours = [int(part) for part in found.groups()[:4]]
        start, end = time(hours[0], hours[1]), time(hours[2], hours[3])
        if start == end:
            raise InvalidInput("WATTLE_QUIET_HOURS should end at another time than it starts.")
        try:
            zone = ZoneInfo(found[5]) if found[5] else UTC
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise InvalidInput(f"{found[5][:40]!r} in WATTLE_QUIET_HOURS is not a time zone.") from error
        return cls(start, end, zone)

    def holds(self, now: datetime) -> bool:
        """Tell whether it is quiet at a time."""
        clock = now.astimezone(self.zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end
