"""Quiet hours: in the zone they are meant in, over midnight and over the change of clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerts.quiet import QuietHours
from errors import InvalidInput


def quiet(text: str, *now: int) -> bool:
    return QuietHours.parse(text).holds(datetime(*now, tzinfo=UTC))  # type: ignore[arg-type,misc] # a date


def test_they_begin_with_their_start_and_end_before_their_end() -> None:
    assert not quiet("13:00-14:30", 2026, 3, 1, 12, 59)
    assert quiet("13:00-14:30", 2026, 3, 1, 13, 0)
    assert quiet("13:00-14:30", 2026, 3, 1, 14, 29)
    assert not quiet("13:00-14:30", 2026, 3, 1, 14, 30)


def test_they_may_last_over_midnight() -> None:
    assert quiet("22:00-7:00", 2026, 3, 1, 23, 0)
    assert quiet("22:00-7:00", 2026, 3, 1, 6, 59)
    assert not quiet("22:00-7:00", 2026, 3, 1, 12, 0)


def test_they_are_meant_in_their_zone_in_winter_and_in_summer() -> None:
    berlin = "22:00-07:00 Europe/Berlin"
    assert quiet(berlin, 2026, 1, 15, 21, 30)
    assert not quiet(berlin, 2026, 1, 15, 6, 30)
    assert quiet(berlin, 2026, 7, 15, 20, 30)
    assert not quiet(berlin, 2026, 7, 15, 5, 30)


@pytest.mark.parametrize(
    "text", ["", "night", "22-7", "24:00-07:00", "07:00-07:00", "22:00-07:00 Nowhere/X", "1:0-2:00"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="WATTLE_QUIET_HOURS"):
        QuietHours.parse(text)
