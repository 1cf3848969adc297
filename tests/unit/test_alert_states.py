"""When a condition that lasts raises an alert: every moment is an argument."""

from __future__ import annotations

from alerts.states import Holding, advance
from schema import RuleState

YES, NO = Holding(is_true=True), Holding(is_true=False)


def walk(
    *steps: tuple[float, Holding], for_s: float = 0, again_after_s: float = 0
) -> tuple[list[float], RuleState | None]:
    """Return when alerts are raised, and how it stands then."""
    state: RuleState | None = None
    raised = []
    for now_s, seen in steps:
        state, is_raised = advance(state, seen, now_s, for_s=for_s, again_after_s=again_after_s)
        raised += [now_s] if is_raised else []
    return raised, state


def test_it_is_raised_once_while_it_holds() -> None:
    assert walk((1, YES), (2, YES), (900, YES))[0] == [1]


def test_it_has_to_hold_for_a_while_without_a_break() -> None:
    assert walk((0, YES), (59, YES), (60, YES), for_s=60)[0] == [60]
    assert walk((0, YES), (59, NO), (60, YES), (119, YES), (120, YES), for_s=60)[0] == [120]


def test_it_is_raised_again_once_it_has_ended_and_begun_anew() -> None:
    assert walk((1, YES), (2, NO), (3, YES))[0] == [1, 3]


def test_the_same_is_not_raised_again_too_soon_but_as_soon_as_it_may() -> None:
    assert walk((0, YES), (10, NO), (20, YES), (99, YES), (100, YES), (101, YES), again_after_s=100)[0] == [
        0,
        100,
    ]


def test_another_mark_begins_anew() -> None:
    first, second = Holding(is_true=True, mark="1:4"), Holding(is_true=True, mark="1:5")
    assert walk((0, first), (50, first), (60, second), (110, second), (120, second), for_s=60)[0] == [120]


def test_what_is_known_to_hold_for_longer_need_not_wait() -> None:
    assert walk((100, Holding(is_true=True, since_s=30)), for_s=60)[0] == [100]
    assert walk((100, Holding(is_true=True, since_s=900)), for_s=60)[0] == [], "a clock that is ahead"


def test_nothing_is_remembered_of_what_is_over_and_long_ago() -> None:
    assert walk((0, YES), (10, NO), again_after_s=100)[1] == RuleState(raised_at=0)
    assert walk((0, YES), (10, NO), (100, NO), again_after_s=100)[1] is None
    assert walk((0, NO))[1] is None
