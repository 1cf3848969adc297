"""How the page Access says how a token stands and what is used of a quota."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schema.access import Scope, Token
from schema.quotas import Quota, QuotaLimits, QuotaUse
from views.access.words import bars, token_facts, token_state

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def token(expires_in: timedelta | None, *, used: bool = True) -> Token:
    return Token(
        token_id="0123456789abcdef",  # noqa: S106 - no secret
        name="ci",
        scope=Scope.READ,
        created_at=NOW - timedelta(days=30),
        expires_at=None if expires_in is None else NOW + expires_in,
        last_used_at=NOW - timedelta(hours=3) if used else None,
    )


@pytest.mark.parametrize(
    ("expires_in", "used", "state"),
    [
        (None, True, "active"),
        (None, False, "never used"),
        (timedelta(days=8), True, "active"),
        (timedelta(days=6), True, "expires soon"),
        (timedelta(days=6), False, "expires soon"),
        (timedelta(0), True, "expired"),
    ],
)
def test_the_most_urgent_that_is_true_of_a_token_is_its_state(
    expires_in: timedelta | None, used: bool, state: str
) -> None:
    assert token_state(token(expires_in, used=used), NOW) == state


def test_a_line_says_what_is_known_of_a_token() -> None:
    facts = token_facts(token(None), NOW)
    assert "all projects" in facts
    assert "never expires" in facts
    assert "last used 3 hours ago" in facts


def test_the_line_leaves_out_what_the_state_says() -> None:
    assert "used" not in token_facts(token(None, used=False), NOW)
    assert "never used" in token_facts(token(timedelta(days=6), used=False), NOW)


def test_a_bar_is_as_long_as_the_share_that_is_used_and_no_longer() -> None:
    limits = QuotaLimits(waiting_runs=0, running_runs=4, gpu_hours=2.5, co2_g=10.0)
    use = QuotaUse(waiting_runs=0, running_runs=1, gpu_hours=5.0, co2_g=0.0)
    found = bars(Quota(owner="project", name="vision", limits=limits, used=use))
    assert [(bar.share, bar.text) for bar in found] == [
        (1.0, "Waiting runs: 0 of 0: used up"),
        (0.25, "Running runs: 1 of 4"),
        (1.0, "GPU-hours today: 5 of 2.50 h: used up"),
        (0.0, "CO₂ today: 0 of 10 g"),
    ]
