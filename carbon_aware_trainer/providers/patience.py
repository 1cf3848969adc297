"""How long to wait for a provider, and how often to ask again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
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


class Budget:
    """What several questions may take together, whichever providers are asked; see ``within``."""

    def __init__(self, total_s: float, whole: Budget | None = None) -> None:
        """Take the seconds, and the budget of which these are a part."""
        self.total_s, self.left_s, self._whole = total_s, total_s, whole

    def spend(self, waited_s: float) -> None:
        """Note how long was waited for an answer."""
        self.left_s = max(0.0, self.left_s - waited_s)
        if self._whole is not None:
            self._whole.spend(waited_s)

    def half(self) -> Budget:
        """Return half of what is left, for one of two who may be asked."""
        return Budget(self.left_s / 2, self)


_IN_FORCE: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def within(budget: Budget | None) -> Iterator[None]:
    """Bound all questions together that this thread or task asks in here; None leaves it as it is."""
    token = _IN_FORCE.set(budget or _IN_FORCE.get())
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


def budget_in_force() -> Budget | None:
    """Return what bounds the questions of this thread or task; None where each has its own patience only."""
    return _IN_FORCE.get()


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
