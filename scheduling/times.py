"""Times as far ahead as a calendar goes; pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# A day before datetime.max, so that a zone's offset does not lead beyond it.
LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def later(at: datetime, length: timedelta) -> datetime:
    """Return a time so much later, at most LATEST."""
    return LATEST if length > LATEST - at else at + length
