"""Meters over this machine's own counters, and the sampler's thread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from carbon_aware_trainer.energy import PowerSampler, choose_meter
from carbon_aware_trainer.energy.estimate import CpuTimeMeter, open_processes
from carbon_aware_trainer.energy.hardware import ThreadPower, read_cpu, thread_power
from carbon_aware_trainer.energy.process_tree import ProcessTable, PsutilProcesses
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.providers import country_intensity
from carbon_aware_trainer.records import Counter, Quality
from tests.fake_hardware import FakeClock, FakeGpu, FakeNvml

T = TypeVar("T")
ONE_W = ThreadPower(1.0, "1 W per thread")
BURN = "import time\nwhile time.process_time() < {seconds}: pass"


def own_and_reaped_cpu_s() -> float:
    """The CPU time of this process and of the children it has waited for."""
    return sum(os.times()[:4])


def burn(cpu_s: float) -> None:
    """Keep one thread busy for that much CPU time."""
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        pass


def test_this_machine_has_a_cpu_meter_that_sees_work() -> None:
    meter = choose_meter("cpu", root_pid=os.getpid())
    with PowerSampler(meter) as sampler:
        start_ns = time.monotonic_ns()
        burn(0.5)
        reading = sampler.reading(start_ns, time.monotonic_ns())
    assert reading.reason is None
    assert reading.energy_j is not None
    assert reading.energy_j > 0
    assert reading.quality == meter.quality


def test_a_device_without_a_meter_is_unknown_with_the_reason() -> None:
    with PowerSampler(choose_meter("tpu", root_pid=os.getpid())) as sampler:
        start_ns = time.monotonic_ns()
        reading = sampler.reading(start_ns, start_ns + 1000)
    assert reading.energy_j is None
    assert reading.reason == "There is no energy meter for the device 'tpu' yet."


def test_a_gpu_run_is_charged_for_its_gpu_and_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpu = FakeGpu("GPU-a", energy_mj=0)
    meter = choose_meter("cuda:0", root_pid=os.getpid(), powercap=tmp_path, nvml=FakeNvml(gpu))
    gpu.energy_mj = 50_000
    burn(0.2)
    assert meter.read().joules > 50
    assert meter.quality == "estimated", "because the CPU part is"
    assert meter.source.startswith("NVML energy counter of GPU 0 (NVIDIA H200) + CPU time × TDP (")


def test_a_gpu_run_without_its_gpus_counter_is_unknown_not_the_cpu_alone(tmp_path: Path) -> None:
    meter = choose_meter("cuda:0", root_pid=os.getpid(), powercap=tmp_path, nvml=FakeNvml(starts=False))
    with pytest.raises(MeterUnavailable, match="Is the NVIDIA driver installed"):
        meter.read()


@pytest.mark.parametrize(
    "processes", [open_processes(os.getpid()), PsutilProcesses()], ids=["here", "psutil"]
)
def test_children_are_charged_while_they_live_and_once_they_are_dead(processes: ProcessTable) -> None:
    now_ns = 0
    start_s = own_and_reaped_cpu_s()
    meter = CpuTimeMeter(os.getpid(), ONE_W, processes=processes, clock=lambda: now_ns)
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.4)!r}])"
    child = subprocess.Popen([sys.executable, "-c", program + "\ninput()"], stdin=subprocess.PIPE)
    burn(0.1)
    now_ns += 2 * 10**9
    meter.read()
    child.communicate(b"\n")
    now_ns += 2 * 10**9
    for _ in range(2):
        used_s = own_and_reaped_cpu_s() - start_s
        assert used_s > 0.5
        assert meter.read().joules == pytest.approx(used_s, abs=0.1), "each of them once"
        now_ns += 2 * 10**9


def test_a_process_that_does_not_exist_has_no_meter() -> None:
    with pytest.raises(MeterUnavailable, match="no process"):
        CpuTimeMeter(2**22 + 1, ONE_W)


def test_this_machines_cpu_gets_a_plausible_power() -> None:
    cpu = read_cpu()
    assert cpu.threads == os.cpu_count()
    assert 0.1 < thread_power(cpu).w_per_thread < 70


def test_codecarbons_own_file_has_the_default_country() -> None:
    intensity = country_intensity("USA")
    assert 200 < intensity.g_per_kwh < 600
    assert "CodeCarbon" in intensity.source


class HangingMeter:
    """A driver that never answers, until the test lets it go."""

    quality: Quality = "measured"
    source = "a hanging driver"
    step_s = 0.1

    def __init__(self) -> None:
        self.was_asked = threading.Event()
        self.release = threading.Event()
        self.is_closed = False

    def read(self) -> Counter:
        self.was_asked.set()
        self.release.wait()
        return Counter(0.0, time.monotonic_ns())

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def hanging() -> Iterator[HangingMeter]:
    meter = HangingMeter()
    yield meter
    meter.release.set()


class FakeWait(threading.Condition):
    """Nobody waits: the clock is moved on."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.waits_s: list[float | None] = []
        self._clock = clock

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        self.waits_s.append(timeout)
        self._clock.advance(timeout or 0)
        return predicate()


def test_a_meter_that_hangs_costs_the_caller_one_bounded_wait_in_all(
    hanging: HangingMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    sampler = PowerSampler(hanging, clock=clock)
    waiting = FakeWait(clock)
    monkeypatch.setattr(sampler, "_sampled", waiting)
    sampler.start()
    assert hanging.was_asked.wait(20)
    for _ in range(3):
        reading = sampler.reading(clock() - 1000, clock(), timeout_s=0.2)
        assert (reading.energy_j, reading.reason) == (None, "The energy meter does not answer.")
    assert waiting.waits_s == pytest.approx([0.2, 0, 0])
    hanging.release.set()
    sampler.stop()
    assert hanging.is_closed


def test_the_thread_ends_with_the_block_and_closes_the_meter(hanging: HangingMeter) -> None:
    hanging.release.set()
    before = threading.active_count()
    with PowerSampler(hanging):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert hanging.is_closed


def test_importing_the_library_loads_nothing_heavy() -> None:
    heavy = "codecarbon pynvml torch pydantic numpy pandas httpx"
    program = (
        "import sys, carbon_aware_trainer, carbon_aware_trainer.energy, carbon_aware_trainer.providers\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    asked = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == "[]"
