"""From what providers and files write to checked points in UTC on an even grid."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from carbon_aware_trainer.errors import AnswerRefused, ForecastUnavailable, IntensityUnavailable
from carbon_aware_trainer.records import Basis
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

# The dirtiest grids emit about 1,200 g; oil burnt in an old engine less than 1,500.
LARGEST_G_PER_KWH = 3000.0
# A year of five minutes is 105,000; more points than this are an answer to another question.
MOST_SLOTS = 2_000_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_STEPS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 15, 20, 30, 60))


@dataclass(frozen=True, slots=True)
class Point:
    """The intensity from a moment on; None is a value missing at the source."""

    at: datetime
    g_per_kwh: float | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose figures they are."""

    zone: str
    provider: str
    basis: Basis


def intensity(value: object, who: str) -> float:
    """Return a value in g/kWh. Raises AnswerRefused for what is no number, negative or above 3000."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnswerRefused(f"{who} gave {repr(value)[:20]} as an intensity, which is no number.")
    if not 0 <= value <= LARGEST_G_PER_KWH:  # nor NaN
        raise AnswerRefused(
            f"{who} gave an intensity of {repr(value)[:20]} g/kWh; 0 to {LARGEST_G_PER_KWH:g} can be true."
        )
    return float(value)


def optional_intensity(value: object, who: str) -> float | None:
    """Return a value in g/kWh; None stays None. Raises AnswerRefused as ``intensity``."""
    return None if value is None else intensity(value, who)


def moment(value: object, who: str) -> datetime:
    """Return a time in UTC from ISO 8601; one without an offset is UTC. Raises AnswerRefused."""
    try:
        if not isinstance(value, str | datetime):
            raise ValueError("neither a text nor a time")
        # through a text: pandas has a datetime of its own
        at = datetime.fromisoformat(value.strip() if isinstance(value, str) else value.isoformat())
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as err:
        raise AnswerRefused(f"{who} gave {value!r} as a time. Use ISO 8601, as 2026-01-31T12:00Z.") from err


def optional_moment(value: object, who: str) -> datetime | None:
    """Return a time in UTC; None stays None. Raises AnswerRefused as ``moment``."""
    return None if value is None else moment(value, who)


def share(value: object, who: str) -> float | None:
    """Return percent as a share of 1; None stays None. Raises AnswerRefused outside 0-100."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise AnswerRefused(f"{who} gave {value!r} as a percentage; one between 0 and 100 can be true.")
    return value / 100


def floor(at: datetime, step: timedelta) -> datetime:
    """Return the start of the slot that holds a moment; slots start at midnight UTC."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (at - midnight) // step * step


def trace(
    points: Iterable[Point], origin: Origin, *, step: timedelta | None = None, who: str | None = None
) -> Trace:
    """Return points as a trace; times without one are gaps. ``step`` None: what most of them are apart.

    Raises AnswerRefused for a time given twice or off the grid, IntensityUnavailable without any value.
    """
    listed = sorted(points, key=lambda point: point.at)
    if all(point.g_per_kwh is None for point in listed):
        raise IntensityUnavailable(f"{who or origin.provider} has no values of {origin.zone} for that time.")
    step = step or _usual_step(listed)
    start = listed[0].at
    slots = round((listed[-1].at - start) / step) + 1
    if slots > MOST_SLOTS:
        raise AnswerRefused(f"{who or origin.provider} gave times from {start:%Y} to {listed[-1].at:%Y}.")
    values = np.full(slots, np.nan)
    taken: set[int] = set()
    for point in listed:
        slot, rest = divmod(point.at - start, step)
        if rest or slot in taken:
            raise AnswerRefused(_off_grid(point, origin, step, who, is_twice=not rest))
        taken.add(slot)
        values[slot] = math.nan if point.g_per_kwh is None else point.g_per_kwh
    return Trace(origin.zone, origin.provider, origin.basis, start, step, values)


def spans(
    start: datetime, end: datetime, *, longest: timedelta, step: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Cut a time into questions that are not too long, oldest first.

    The cuts do not depend on ``start``: who asks again tomorrow asks for the same spans, which are kept. The
    first may begin before ``start``.
    """
    last = floor(end - timedelta(microseconds=1), step) + step
    at = _EPOCH + (start - _EPOCH) // longest * longest
    while at < end:
        yield at, min(at + longest, last)
        at += longest


def within(points: Iterable[Point], start: datetime, end: datetime) -> list[Point]:
    """Return the points in [start, end)."""
    return [point for point in points if start <= point.at < end]


def hourly(points: Iterable[Point], *, partial: datetime | None = None) -> list[Point]:
    """Return the mean of every hour with at least half of its points; an hour with fewer is missing.

    partial: the hour that is under way, of which any point will do.
    """
    listed = sorted(points, key=lambda point: point.at)
    needed = HOUR / _usual_step(listed) / 2
    hours: dict[datetime, list[float]] = {}
    for point in listed:
        values = hours.setdefault(floor(point.at, HOUR), [])
        if point.g_per_kwh is not None:
            values.append(point.g_per_kwh)
    return [
        Point(at, sum(values) / len(values) if values and (len(values) >= needed or at == partial) else None)
        for at, values in hours.items()
    ]


def forecast(
    known: Trace, *, now: datetime, horizon: timedelta, method: str,
    made_at: datetime | None = None, stale_after: timedelta = timedelta.max,
) -> Forecast:  # fmt: skip
    """Return the part of a trace from the slot that holds ``now`` on, up to its first gap.

    made_at: by default now. Raises ForecastUnavailable when it does not hold ``now`` or is too old.
    """
    made_at = made_at or now
    if now - made_at > stale_after:
        raise ForecastUnavailable(
            f"{known.provider}'s newest forecast of {known.zone} is of {made_at:%Y-%m-%d %H:%M} UTC, "
            f"{(now - made_at) / HOUR:.1f} h ago; {stale_after / HOUR:g} h are allowed."
        )
    first = max(0, known.slot(now))
    ahead = known.between(known.start + first * known.step, now + horizon)
    missing = np.flatnonzero(np.isnan(ahead.g_per_kwh))
    values = ahead.g_per_kwh[: missing[0]] if len(missing) else ahead.g_per_kwh
    if not len(values) or known.start > now:
        raise ForecastUnavailable(
            f"{known.provider} has no forecast of {known.zone} that holds {now:%Y-%m-%d %H:%M} UTC."
        )
    unknown = np.full(len(values), np.nan)
    return Forecast(
        known.zone, known.provider, known.basis, made_at, ahead.start, known.step,
        values, unknown, unknown, method,
    )  # fmt: skip


def _usual_step(points: Sequence[Point]) -> timedelta:
    apart = Counter(
        after.at - before.at for before, after in itertools.pairwise(points) if after.at > before.at
    )
    usual = apart.most_common(1)[0][0] if apart else HOUR
    # a file with one value a day has that value for the day, not for an hour; one that replays a day in an
    # hour has slots of seconds
    is_replay = usual < _STEPS[0] and not HOUR % usual
    return usual if usual in _STEPS or usual > HOUR or is_replay else HOUR


def _off_grid(point: Point, origin: Origin, step: timedelta, who: str | None, *, is_twice: bool) -> str:
    whose, at = who or origin.provider, f"{point.at:%Y-%m-%d %H:%M:%S} UTC"
    if is_twice:
        return (
            f"{whose} gave {origin.zone} twice for {at}. Give each time once, with its offset: "
            "local times repeat an hour in autumn."
        )
    minutes = step.total_seconds() / 60
    return f"{whose} gave {origin.zone} at {at}, which is not on its grid of {minutes:g} minutes."
