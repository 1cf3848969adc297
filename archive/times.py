"""When a round of archiving is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from errors import InvalidInput


@dataclass(frozen=True)
class EachDay:
    """A time of the day, in a zone."""

    at: time
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> EachDay:
        """Read ``03:00 Europe/Berlin``; UTC without a zone. Raises InvalidInput for a zone there is not."""
        clock, _, zone = text.partition(" ")
        try:
            return cls(time.fromisoformat(clock), ZoneInfo(zone) if zone else UTC)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise InvalidInput(f"{zone[:40]!r} in WATTLE_ARCHIVE_AT is not a time zone.") from error

    def latest(self, now: datetime) -> datetime:
        """Return when it was that time of the day last, ``now`` included."""
        today = self._on(now, days=0)
        return today if today <= now else self._on(now, days=-1)

    def next(self, now: datetime) -> datetime:
        """Return when it will be that time of the day."""
        today = self._on(now, days=0)
        return today if today > now else self._on(now, days=1)

    def _on(self, now: datetime, *, days: int) -> datetime:
        day = now.astimezone(self.zone).date() + timedelta(days=days)
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)
