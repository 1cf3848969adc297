"""How long to wait for a provider, and how often to ask again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of one question, all attempts together.

    total_s: from the question to its answer or failure. pause_s: after a failure nobody is asked for that
    long, so that a provider that is down does not hold up every caller for ``total_s``.
    """

    attempt_s: float = 10.0
    total_s: float = 30.0
    attempts: int = 4
    first_wait_s: float = 0.5
    pause_s: float = 30.0

    def wait_s(self, attempt: int) -> float:
        """Return how long to wait after a failed attempt, from 1: doubling, without the server's word."""
        return float(self.first_wait_s * 2 ** (attempt - 1))


def is_passing(status: int) -> bool:
    """Say whether a later attempt may succeed."""
    return status == TOO_MANY or status >= 500


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the seconds the server asks to wait; None when it does not say, or not in a known form.

    Source: RFC 9110, 10.2.3: seconds, or a date, which is set against the server's own Date if sent.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until = _date(text)
    return (
        None if until is None else max(0.0, (until - (_date(headers.get("date", "")) or now)).total_seconds())
    )


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
