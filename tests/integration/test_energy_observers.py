"""The benchmark's observers as processes, around a real load."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from bench.energy import Load
from bench.energy_ratios import ours_over
from bench.observers.process import ObserverProcess


@pytest.fixture
def load() -> Iterator[Load]:
    load = Load("cpu", 1)
    yield load
    load.end()


@pytest.mark.slow
def test_our_observer_sees_a_load_of_a_second_and_none_where_there_was_none(load: Load) -> None:
    program = [sys.executable, "-m", "bench.observers.ours", "cpu", str(load.pid)]
    with ObserverProcess("ours", program) as ours:
        assert "process tree" in ours.covers
        ours.begin()
        idle = ours.end()
        ours.begin()
        cpu_s = load.run(1, lambda wait: wait(None))
        busy = ours.end()
    assert busy.reason is None
    assert busy.span_s is not None
    assert 1 <= busy.span_s < 2.5
    assert busy.core_share is not None
    assert busy.core_share < 0.2
    assert busy.joules["cpu"] > 0.5 * cpu_s, "a busy thread of no machine is below half a watt"
    assert idle.joules["cpu"] < 0.2 * busy.joules["cpu"]
    assert ours_over(busy, busy).value == 1.0


@pytest.mark.slow
def test_codecarbons_observer_sees_the_machine_and_its_memory_but_no_gpu(load: Load) -> None:
    with ObserverProcess("CodeCarbon", [sys.executable, "-m", "bench.observers.codecarbon", "cpu"]) as other:
        assert "the whole machine" in other.covers
        other.begin()
        cpu_s = load.run(1, lambda wait: wait(None))
        figure = other.end()
    assert figure.reason is None
    assert figure.joules.keys() == {"cpu", "ram"}
    assert figure.joules["cpu"] > 0.5 * cpu_s
    assert figure.joules["ram"] > 0


def test_an_observer_whose_environment_is_not_there_says_what_to_do(tmp_path: object) -> None:
    with ObserverProcess("Zeus", [f"{tmp_path}/bin/python", "-m", "bench.observers.zeus"]) as zeus:
        zeus.begin()
        figure = zeus.end()
    assert figure.reason == "There is no python of Zeus's environment. Run: make peers"
    assert figure.joules == {}


def test_an_observer_that_dies_leaves_its_last_words_as_the_reason() -> None:
    program = "print('{\"covers\": \"x\"}', flush=True); input(); raise SystemExit('the counter is gone')"
    with ObserverProcess("ours", [sys.executable, "-c", program]) as observer:
        observer.begin()
        assert observer.end().reason == "ours ended: the counter is gone"
        observer.begin()
        assert observer.end().reason == "ours ended: the counter is gone", "and stays so"


def test_an_observer_that_can_read_nothing_keeps_its_reason() -> None:
    program = 'print(\'{"reason": "no RAPL"}\', flush=True)'
    with ObserverProcess("Zeus", [sys.executable, "-c", program]) as observer:
        assert observer.reason == "no RAPL"
        observer.begin()
        assert observer.end().reason == "no RAPL"
