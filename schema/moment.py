"""A time that somebody asks for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_NUMBER: Final = re.compile(r"[\s+-]*[\d._]+(e[+-]?\d+)?\s*", re.IGNORECASE)


def _check_text(value: object) -> object:
    """Refuse a number, also as text, of which nobody can tell whether it is seconds or milliseconds."""
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("should be a text such as 2026-03-01T22:00:00Z")
    return value


def _to_utc(moment: datetime) -> datetime:
    """Return the time in UTC. Raises ValueError where no clock and no calendar has it."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("should be in the years 1970 to 9998") from error
    if not 1970 <= utc.year <= 9998:
        raise ValueError("should be in the years 1970 to 9998")
    return utc


Moment = Annotated[AwareDatetime, BeforeValidator(_check_text), AfterValidator(_to_utc)]
