"""Meters over this machine's own counters, and the sampler's thread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbon_aware_trainer.energy import PowerSampler, choose_meter
from carbon_aware_trainer.energy.estimate import CpuTimeMeter, open_processes
from carbon_aware_trainer.energy.hardware import ThreadPower, read_cpu, thread_power
from carbon_aware_trainer.energy.process_tree import ProcessTable, PsutilProcesses
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.providers import country_intensity
from carbon_aware_trainer.records import Counter, Quality
from tests.fake_hardware import FakeGpu, FakeNvml

ONE_W = ThreadPower(1.0, "1 W per thread")
BURN = "import time\nwhile time.process_time() < {seconds}: pass"


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
    assert reading.energy_j > 0.1
    assert reading.quality == meter.quality
    print(f"\n{meter.source}: {reading.energy_j:.2f} J, {reading.power_w:.2f} W, {reading.quality}")


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
    assert 50 < meter.read().joules < 80
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
    meter = CpuTimeMeter(os.getpid(), ONE_W, processes=processes, clock=lambda: now_ns)
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.4)!r}])"
    child = subprocess.Popen([sys.executable, "-c", program + "\ninput()"], stdin=subprocess.PIPE)
    burn(0.1)
    now_ns += 2 * 10**9
    meter.read()
    child.communicate(b"\n")
    now_ns += 2 * 10**9
    own_and_children_s = meter.read().joules
    now_ns += 2 * 10**9
    assert 0.5 < own_and_children_s < 1.5
    assert meter.read().joules == pytest.approx(own_and_children_s, abs=0.05), "not charged a second time"


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
        self.release = threading.Event()
        self.is_closed = False

    def read(self) -> Counter:
        self.release.wait()
        return Counter(0.0, time.monotonic_ns())

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def hanging() -> Iterator[HangingMeter]:
    meter = HangingMeter()
    yield meter
    meter.release.set()


def test_a_meter_that_hangs_costs_the_caller_one_bounded_wait_in_all(hanging: HangingMeter) -> None:
    sampler = PowerSampler(hanging)
    sampler.start()
    waits_s = []
    for _ in range(3):
        now_ns = time.monotonic_ns()
        reading = sampler.reading(now_ns - 1000, now_ns, timeout_s=0.2)
        waits_s.append((time.monotonic_ns() - now_ns) / 1e9)
        assert (reading.energy_j, reading.reason) == (None, "The energy meter does not answer.")
    assert sum(waits_s) < 0.5
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


@pytest.mark.slow
def test_sampling_ten_times_a_second_costs_under_half_a_percent_of_a_core() -> None:
    with PowerSampler(choose_meter("cpu", root_pid=os.getpid())):
        time.sleep(1)
        start_cpu_s, start_s = time.process_time(), time.monotonic()
        time.sleep(8)
        share = (time.process_time() - start_cpu_s) / (time.monotonic() - start_s)
    print(f"\nsampling costs {share:.2%} of one core")
    assert share < 0.005
