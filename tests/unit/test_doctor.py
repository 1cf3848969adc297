"""What wattle doctor makes of what it finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schema.doctor import check_clock, check_disk

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(("gap_s", "state"), [(0, "ok"), (-1.9, "ok"), (2.1, "warning"), (-7200, "warning")])
def test_a_clock_that_is_off_is_told_with_the_remedy(gap_s: float, state: str) -> None:
    check = check_clock("API", told=NOW, own=NOW + timedelta(seconds=gap_s))
    assert (check.state, check.remedy is None) == (state, state == "ok")


@pytest.mark.parametrize(
    ("free_bytes", "is_writable", "state"),
    [
        (50 << 30, True, "ok"),
        (1 << 30, True, "warning"),
        (1 << 20, True, "failed"),
        (50 << 30, False, "failed"),
    ],
)
def test_a_disk_has_to_have_room_and_let_us_write(free_bytes: int, is_writable: bool, state: str) -> None:
    check = check_disk("here", "/data", free_bytes=free_bytes, is_writable=is_writable)
    assert (check.state, check.remedy is None) == (state, state == "ok")
