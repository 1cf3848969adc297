"""CPU energy by CPU time: which processes are charged, and with how many watts."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbon_aware_trainer.energy.hardware import (
    DEFAULT_W_PER_THREAD,
    Cpu,
    find_tdp_w,
    parse_cpuinfo,
    thread_power,
)
from carbon_aware_trainer.energy.process_tree import ProcessTree
from carbon_aware_trainer.errors import MeterUnavailable
from tests.fake_hardware import FakeClock, FakeProcesses

Table = dict[int, list[float]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


ROOT, CHILD, GRANDCHILD, STRANGER = 100, 101, 102, 999


def tree(table: Table, clock: FakeClock) -> ProcessTree:
    return ProcessTree(ROOT, FakeProcesses(table), clock=clock)


def test_cpu_time_of_the_whole_tree_since_opening_is_charged(clock: FakeClock) -> None:
    table: Table = {
        STRANGER: [1, 0, 50, 0],
        ROOT: [1, 1, 10, 3],
        CHILD: [ROOT, 2, 20, 0],
        GRANDCHILD: [CHILD, 3, 1, 0],
    }
    counted = tree(table, clock)
    assert counted.cpu_s() == 0
    table[ROOT][2] += 1
    table[CHILD][2] += 2
    table[GRANDCHILD][2] += 3
    table[STRANGER][2] += 100
    assert counted.cpu_s() == pytest.approx(6)


def test_a_process_that_is_found_late_is_charged_from_its_start(clock: FakeClock) -> None:
    table: Table = {ROOT: [1, 1, 10, 0]}
    counted = tree(table, clock)
    table[CHILD] = [ROOT, 5, 0.7, 0]
    table[GRANDCHILD] = [CHILD, 6, 0.3, 0]
    clock.advance(1)
    assert counted.cpu_s() == pytest.approx(1.0)


@pytest.mark.parametrize("seen_alive_s", [0.0, 2.0, 5.0])
def test_a_dead_child_is_charged_once_whenever_it_is_reaped(clock: FakeClock, seen_alive_s: float) -> None:
    table: Table = {ROOT: [1.0, 1, 10, 0], CHILD: [ROOT, 2, 0, 0]}
    counted = tree(table, clock)
    table[CHILD][2] = seen_alive_s
    counted.cpu_s()
    del table[CHILD]
    clock.advance(1)
    assert counted.cpu_s() == pytest.approx(seen_alive_s), "dead, not yet reaped"
    table[ROOT][3] += 5
    clock.advance(1)
    assert counted.cpu_s() == pytest.approx(5)


def test_a_dead_child_and_its_dead_child_are_charged_once(clock: FakeClock) -> None:
    table: Table = {ROOT: [1.0, 1, 0, 0], CHILD: [ROOT, 2, 0, 0], GRANDCHILD: [CHILD, 3, 0, 0]}
    counted = tree(table, clock)
    table[CHILD][2], table[GRANDCHILD][2] = 2, 3
    counted.cpu_s()
    del table[CHILD], table[GRANDCHILD]
    table[ROOT][3] = 5
    clock.advance(1)
    assert counted.cpu_s() == pytest.approx(5)


def test_a_pid_that_another_process_has_taken_over_is_not_charged(clock: FakeClock) -> None:
    table: Table = {ROOT: [1.0, 1, 0, 0], CHILD: [ROOT, 2, 5, 0]}
    counted = tree(table, clock)
    table[CHILD] = [1, 77, 0.5, 0]
    clock.advance(1)
    counted.cpu_s()
    table[CHILD][2] = 300
    assert counted.cpu_s() == 0


def test_a_tree_whose_root_is_gone_is_unavailable(clock: FakeClock) -> None:
    table: Table = {ROOT: [1.0, 1, 0, 0]}
    counted = tree(table, clock)
    del table[ROOT]
    clock.advance(1)
    with pytest.raises(MeterUnavailable, match="gone"):
        counted.cpu_s()
    with pytest.raises(MeterUnavailable, match="no process"):
        tree(table, clock)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "cpu_power.csv"
    file.write_text(
        "Name,TDP\nAMD EPYC 7763,280.0\nApple M1,10\nIntel Xeon E5-2686 v4,145\nIntel Celeron 1200,29.32.9\n"
        "Intel Core i7-1185G7,28\nIntel Core i7-1185G7,15\nAMD Ryzen 7 5800X,105.0\nIntel Nothing 1,0.0\n"
    )
    return file


@pytest.mark.parametrize(
    ("name", "tdp_w"),
    [
        ("AMD EPYC 7763 64-Core Processor", 280),
        ("AMD Ryzen 7 5800X 8-Core Processor", 105),
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", 145),
        ("Apple M1", 10),
        ("Apple M1 Pro", None),
        ("Intel(R) Xeon(R) Processor", None),
        ("Intel(R) Celeron(R) CPU 1200MHz", None),
        ("Intel(R) Celeron(R) 1200", None),
        ("11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz", None),
        ("Intel Nothing 1", None),
        ("", None),
    ],
)
def test_only_a_cpu_of_exactly_that_name_gets_the_tables_power(
    table: Path, name: str, tdp_w: float | None
) -> None:
    assert find_tdp_w(name, table) == tdp_w


def test_all_threads_together_make_the_sockets_tdp(table: Path) -> None:
    power = thread_power(Cpu("AMD EPYC 7763 64-Core Processor", threads=256, sockets=2), table=table)
    assert power.w_per_thread * 256 == pytest.approx(2 * 280)
    assert "2 × 280 W over 256 threads" in power.basis


def test_a_part_of_a_cpu_in_a_virtual_machine_is_not_charged_with_the_whole(table: Path) -> None:
    power = thread_power(Cpu("AMD EPYC 7763 64-Core Processor", threads=2, is_virtual=True), table=table)
    assert power.w_per_thread == DEFAULT_W_PER_THREAD
    assert "virtual machine" in power.basis


def test_an_unknown_cpu_is_charged_codecarbons_constant_and_says_so(table: Path) -> None:
    power = thread_power(Cpu("", threads=8), table=table)
    assert power.w_per_thread == DEFAULT_W_PER_THREAD
    assert power.basis == "unnamed CPU, 4 W per thread: not in CodeCarbon's table"


def test_cpuinfo_gives_name_sockets_and_whether_it_is_virtual() -> None:
    block = "processor\t: {}\nmodel name\t: A CPU\nphysical id\t: {}\nflags\t\t: fpu{}\n\n"
    text = block.format(0, 0, "") + block.format(1, 1, "")
    assert parse_cpuinfo(text, threads=2) == Cpu("A CPU", threads=2, sockets=2, is_virtual=False)
    virtual = block.format(0, 0, " hypervisor vmx")
    assert parse_cpuinfo(virtual, threads=1) == Cpu("A CPU", threads=1, sockets=1, is_virtual=True)
    assert parse_cpuinfo("processor\t: 0\nBogoMIPS\t: 50\n", threads=4) == Cpu("", threads=4)
