"""When the reader was last here, by what the browser has kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from views.home.last_visit import visit_before

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def cookie(before: timedelta | None, seen: timedelta) -> str:
    ends = 0 if before is None else int((NOW - before).timestamp())
    return f"{ends}.{int((NOW - seen).timestamp())}"


def test_after_a_break_the_last_visit_is_when_the_page_was_last_seen() -> None:
    kept = cookie(timedelta(days=3), timedelta(hours=5))
    assert visit_before(kept, NOW) == NOW - timedelta(hours=5)


def test_who_reloads_the_page_goes_on_with_the_visit() -> None:
    kept = cookie(timedelta(days=3), timedelta(minutes=2))
    assert visit_before(kept, NOW) == NOW - timedelta(days=3)


def test_the_first_visit_has_none_before_it() -> None:
    assert visit_before("", NOW) is None
    assert visit_before(cookie(None, timedelta(minutes=2)), NOW) is None


@pytest.mark.parametrize("kept", ["x.y", "1", "-5.-6", "9" * 30, f"{'9' * 11}.{'9' * 11}", "1.1.1", "٣.٣"])
def test_a_cookie_that_somebody_has_changed_is_none_or_a_time_that_was(kept: str) -> None:
    found = visit_before(kept, NOW)
    assert found is None or found <= NOW
