"""Readings of how busy a host is become points of the interval that the store wants."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime, timedelta
from typing import cast

from schema import UsagePoint
from training_monitor import system
from work import usage
from work.usage import POINTS_AT_ONCE, RunUsage, UsageWatch, mean_of

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class ReadAlready:
    """A watch whose readings are the test's."""

    def __init__(self) -> None:
        self.readings: list[UsagePoint] = []

    def take(self) -> list[UsagePoint]:
        taken, self.readings = self.readings, []
        return taken


def gathering() -> tuple[ReadAlready, RunUsage]:
    watch = ReadAlready()
    return watch, RunUsage(cast("UsageWatch", watch), every_s=5)


def reading(number: int, **values: float) -> UsagePoint:
    return UsagePoint(at=START + timedelta(seconds=5 * number), values=values or {"cpu_percent": number})


def test_a_short_run_sends_nothing() -> None:
    watch, own = gathering()
    watch.readings = [reading(number) for number in range(POINTS_AT_ONCE - 1)]
    assert own.take_points() == []
    assert own.take_points(is_last=True) == []


def test_points_go_a_few_at_a_time_and_the_rest_at_the_end() -> None:
    watch, own = gathering()
    watch.readings = [reading(number) for number in range(4)]
    assert len(own.take_points()) == 4
    watch.readings = [reading(4)]
    assert own.take_points() == []
    assert own.take_points(is_last=True) == [reading(4)]
    assert own.take_points(is_last=True) == []


def test_a_longer_interval_makes_means() -> None:
    watch, own = gathering()
    own.interval_s = 10.0
    watch.readings = [reading(number) for number in range(7)]
    points = own.take_points()
    assert [point.values["cpu_percent"] for point in points] == [0.5, 2.5, 4.5]
    assert [point.at for point in points] == [reading(number).at for number in (1, 3, 5)]


def test_what_only_some_readings_know_is_no_mean() -> None:
    both = [reading(1, cpu_percent=10, gpu0_percent=5), reading(2, cpu_percent=20)]
    assert mean_of(both).values == {"cpu_percent": 15}


WORKER_NAMES = frozenset(
    re.findall(r'"((?:cpu|process|memory|disk|network)_\w+)":', inspect.getsource(usage))
)


def test_both_monitors_use_the_same_names() -> None:
    of_scripts = re.findall(r'"((?:cpu|process|memory|disk|network)_\w+)":', inspect.getsource(system))
    assert set(of_scripts) == WORKER_NAMES
    assert len(WORKER_NAMES) == 9
