"""Who is sent next where some fail: nobody overtakes in its own line, and nobody holds up the others."""

from __future__ import annotations

from training_monitor.turns import Line, Turns

LINES: dict[int, list[Line]] = {
    1: [("file", "a")],
    2: [("file", "b")],
    3: [("file", "a")],
    4: [("file", "b"), ("model", "m")],
    5: [("file", "c"), ("model", "m")],
}


def test_without_failures_the_oldest_is_next() -> None:
    turns = Turns(LINES.__getitem__)
    assert turns.next([1, 2, 3], now_s=0) == 1
    assert turns.next([], now_s=0) is None


def test_what_failed_lets_others_by_but_none_of_its_lines() -> None:
    turns = Turns(LINES.__getitem__)
    turns.put_off(1, now_s=0, took_s=0)
    assert turns.next([1, 3, 2], now_s=1) == 2
    assert turns.next([1, 3], now_s=1) is None
    assert turns.next([1, 3], now_s=2) == 1
    turns.put_off(2, now_s=2, took_s=0)
    # 4 stands behind 2, and 5 behind 4: versions of the model m come in their order.
    assert turns.next([2, 4, 5], now_s=3) is None


def test_waits_double_up_to_five_minutes_and_are_three_times_as_long_as_the_try() -> None:
    turns = Turns(LINES.__getitem__)
    waits = []
    for tries in range(1, 13):
        assert turns.put_off(1, now_s=0, took_s=0) == tries
        waits.append(next(s for s in range(400) if turns.next([1], now_s=s)))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    turns.put_off(1, now_s=0, took_s=200)
    assert turns.next([1], now_s=599) is None
    assert turns.next([1], now_s=600) == 1


def test_what_waits_no_more_holds_nothing_up() -> None:
    turns = Turns(LINES.__getitem__)
    turns.put_off(1, now_s=0, took_s=0)
    turns.forget(1)
    assert turns.next([3], now_s=0) == 3
    assert turns.put_off(1, now_s=0, took_s=0) == 1
