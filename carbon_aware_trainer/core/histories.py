"""The past of a zone, in the forms that people have it in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.points import Origin, Point
from carbon_aware_trainer.traces import Trace

# A trace, or (time, g/kWh) in any order; None and NaN are missing values.
History: TypeAlias = Trace | Iterable[tuple[datetime, float | None]]


def as_trace(history: History) -> Trace:
    """Return a history on an even grid. Times without an offset are UTC.

    Raises IntensityUnavailable for an empty one, AnswerRefused for absurd values or times given twice.
    """
    if isinstance(history, Trace):
        return history
    who = "The history"
    known = [
        Point(
            at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC),
            points.optional_intensity(value if value is None or value == value else None, who),
        )
        for at, value in history
    ]
    if not known:
        raise IntensityUnavailable("The history is empty. Give times and their intensities.")
    return points.trace(known, Origin("history", "given", "average lifecycle"), who=who)
