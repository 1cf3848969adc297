"""The samples of a counter: what was used between any two moments of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_aware_trainer.energy.history import History
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counter

MS = 10**6
S = 10**9
approx: Any = pytest.approx


def linear(history: History, *, power_w: float, seconds: int) -> None:
    for tenth in range(seconds * 10 + 1):
        history.add(Counter(power_w * tenth / 10, tenth * S // 10))


def test_a_linear_load_reads_as_power_times_time() -> None:
    history = History()
    linear(history, power_w=250, seconds=20)
    span = history.between(2 * S, 12 * S)
    assert (span.joules, span.window_s) == (approx(2500), 0)


def test_a_span_between_two_samples_gets_its_share_and_says_how_wide_they_are() -> None:
    history = History()
    linear(history, power_w=200, seconds=1)
    span = history.between(510 * MS, 540 * MS)
    assert (span.joules, span.window_s) == (approx(200 * 0.03), approx(0.1))


@pytest.mark.parametrize(("start_ns", "end_ns"), [(4 * S, 6 * S), (6 * S, 8 * S)])
def test_a_span_that_no_samples_cover_is_unknown(start_ns: int, end_ns: int) -> None:
    history = History()
    history.add(Counter(0, 5 * S))
    history.add(Counter(9, 7 * S))
    with pytest.raises(MeterUnavailable, match="not running"):
        history.between(start_ns, end_ns)


def test_a_lost_interval_is_unknown_and_no_other() -> None:
    history = History()
    for at_s, lost in ((0, None), (1, None), (2, "reset"), (3, None)):
        history.add(Counter(10.0 * at_s, at_s * S), lost=lost)
    assert history.between(0, S).joules == approx(10)
    assert history.between(2 * S, 3 * S).joules == approx(10)
    for start_s, end_s in ((0.5, 1.5), (1.2, 1.3), (1.9, 2.5), (0, 3)):
        with pytest.raises(MeterUnavailable, match="reset"):
            history.between(round(start_s * S), round(end_s * S))


def test_a_loss_that_lasts_for_days_takes_no_more_room_than_a_short_one() -> None:
    history = History()
    for tenth in range(50_000):
        history.add(Counter(0, tenth * S // 10), lost="GPU is lost")
    assert len(history._lost) == 1
    with pytest.raises(MeterUnavailable, match="GPU is lost"):
        history.between(4_000 * S, 4_001 * S)


def test_a_long_epoch_is_known_from_few_samples() -> None:
    history = History()
    tenths = 24 * 36_000
    for tick in range(0, tenths, 5):  # 100 W at 2 Hz for a day
        history.add(Counter(tick * 10.0, tick * S // 10))
    span = history.between(7 * S, (tenths - 5) * S // 10)
    assert span.joules == approx(100 * ((tenths - 5) / 10 - 7))
    assert span.window_s <= 10.5
    assert len(history) < 24 * 360 + 10_000


def test_a_sample_that_is_not_later_is_ignored() -> None:
    history = History()
    for counter in (Counter(0, 0), Counter(10, S), Counter(11, S), Counter(99, S // 2)):
        history.add(counter)
    assert history.newest == Counter(10, S)


@given(
    deltas=st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1e4)), min_size=2, max_size=60),
    cuts=st.lists(st.floats(0, 1), max_size=20),
)
def test_the_parts_of_a_span_sum_to_the_whole(deltas: list[tuple[int, float]], cuts: list[float]) -> None:
    history = History()
    at_ns, joules = 0, 0.0
    for step_ms, used_j in deltas:
        at_ns += step_ms * MS
        joules += used_j
        history.add(Counter(joules, at_ns))
    first_ns, first_j = deltas[0][0] * MS, deltas[0][1]
    moments = sorted({first_ns, at_ns, *(first_ns + round(cut * (at_ns - first_ns)) for cut in cuts)})
    parts = [history.between(start, end).joules for start, end in pairwise(moments)]
    assert all(part >= 0 for part in parts)
    assert sum(parts) == approx(joules - first_j, abs=1e-6)
