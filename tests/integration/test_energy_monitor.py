"""A worker's view of its machine's energy: real files, sockets, processes and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.energy import EnergyMonitor, MeterOptions, choose_meter
from carbon_aware_trainer.energy.bell import Bell, Ear
from carbon_aware_trainer.energy.codecarbon_process import CodeCarbonProcess
from carbon_aware_trainer.energy.hardware import read_cpu, thread_power
from carbon_aware_trainer.energy.process_tree import (
    ProcessTable,
    ProcessTree,
    PsutilProcesses,
    open_processes,
)
from carbon_aware_trainer.energy.roster import Registration, Roster, open_folder
from carbon_aware_trainer.energy.sampler import Election
from carbon_aware_trainer.errors import MeterUnavailable
from tests.fake_hardware import FakeGpu, FakeNvml
from tests.programs import wait_until

approx: Any = pytest.approx
BURN = "import time\nwhile time.process_time() < {seconds}: pass"


def own_and_reaped_cpu_s() -> float:
    """The CPU time of this process and of the children it has waited for."""
    return sum(os.times()[:4])


def burn(cpu_s: float) -> None:
    """Keep one thread busy for that much CPU time."""
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        pass


def options(folder: Path, nvml: FakeNvml | None = None) -> MeterOptions:
    """A CPU without RAPL, and GPUs that a test sets."""
    device = "cpu" if nvml is None else "cuda:0"
    return MeterOptions(device, folder=folder, powercap=folder, nvml=nvml, environ={})


def test_the_cpu_time_of_a_span_is_charged_to_the_worker_that_used_it(tmp_path: Path) -> None:
    with EnergyMonitor(options(tmp_path)) as monitor:
        assert monitor.describe().startswith("CPU time × TDP (")
        start_ns, start_s = time.monotonic_ns(), own_and_reaped_cpu_s()
        burn(0.5)
        reading = monitor.reading(start_ns, time.monotonic_ns())
        used_s = own_and_reaped_cpu_s() - start_s
    assert reading.energy_j == approx(used_s * thread_power(read_cpu()).w_per_thread, rel=0.25)
    assert (reading.quality, reading.reason, list(reading.sources)) == ("estimated", None, ["cpu"])


def test_a_gpu_is_charged_only_while_a_run_is_trained_on_it(tmp_path: Path) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=0)
    with EnergyMonitor(options(tmp_path, FakeNvml(gpu, FakeGpu("GPU-b")))) as monitor:
        assert monitor.describe().startswith("CPU time × TDP (")
        assert "NVML energy counter of NVIDIA H200, GPU-a" in monitor.describe()
        idle_ns = time.monotonic_ns()
        wait_until(lambda: (monitor.newest_ns() or 0) > idle_ns)
        gpu.energy_mj = 70_000
        monitor.begin()
        start_ns = time.monotonic_ns()
        gpu.energy_mj = 120_000
        end_ns = time.monotonic_ns()
        reading = monitor.reading(start_ns, end_ns)
        assert reading.sources["gpu:0"].quality == "measured"
        wait_until(lambda: (monitor.newest_ns() or 0) > end_ns + 10**8)  # a step's time later
        assert monitor.reading(idle_ns, monitor.newest_ns() or 0).by_source_j["gpu:0"] == approx(50)
        monitor.end()
        after_ns = time.monotonic_ns()
        gpu.energy_mj = 999_000
        assert monitor.reading(after_ns, time.monotonic_ns()).by_source_j["gpu:0"] == 0
        wait_until(lambda: bool(monitor.gpu_facts))
    assert [(facts.uuid, facts.index, facts.power_limit_w) for facts in monitor.gpu_facts if facts] == [
        ("GPU-a", 0, 700)
    ]


def test_a_gpu_run_without_its_gpus_counter_is_unknown_and_its_cpu_part_is_known(tmp_path: Path) -> None:
    with EnergyMonitor(options(tmp_path, FakeNvml(starts=False))) as monitor:
        monitor.describe()
        start_ns = time.monotonic_ns()
        reading = monitor.reading(start_ns, time.monotonic_ns())
    assert reading.energy_j is None
    assert "Is the NVIDIA driver installed" in str(reading.reason)
    assert list(reading.by_source_j) == ["cpu"]


def test_a_run_on_several_gpus_is_charged_for_each(tmp_path: Path) -> None:
    first, second = FakeGpu("GPU-a"), FakeGpu("GPU-b")
    with EnergyMonitor(options(tmp_path, FakeNvml(first, second))) as monitor:
        monitor.describe()
        monitor.begin(gpus=2)
        begun_ns = time.monotonic_ns()
        wait_until(lambda: (monitor.newest_ns() or 0) > begun_ns)
        start_ns = monitor.newest_ns() or 0
        first.energy_mj, second.energy_mj = 10_000, 20_000
        monitor.reading(start_ns, time.monotonic_ns())
        reading = monitor.reading(start_ns, monitor.newest_ns() or 0)
    assert (reading.by_source_j["gpu:0"], reading.by_source_j["gpu:1"]) == (
        approx(10),
        approx(20),
    )


class SteppingGpu(FakeGpu):
    """A board at 400 W that renews its counter every 100 ms."""

    @property
    def energy_mj(self) -> int | None:
        return time.monotonic_ns() // 10**8 * 40_000

    @energy_mj.setter
    def energy_mj(self, value: int | None) -> None:
        pass


def test_epochs_shorter_than_the_counters_step_are_each_charged_their_part_of_it(tmp_path: Path) -> None:
    powers_w = []
    with EnergyMonitor(options(tmp_path, FakeNvml(SteppingGpu("GPU-a")))) as monitor:
        monitor.describe()
        monitor.begin()
        for _ in range(12):
            start_ns = time.monotonic_ns()
            burn(0.03)
            end_ns = time.monotonic_ns()
            joules = monitor.reading(start_ns, end_ns).by_source_j["gpu:0"]
            powers_w.append(joules / (end_ns - start_ns) * 1e9)
    assert min(powers_w[2:]) > 200, powers_w
    assert max(powers_w[2:]) < 800, powers_w


def test_recording_short_epochs_does_not_fall_behind(tmp_path: Path) -> None:
    with EnergyMonitor(options(tmp_path, FakeNvml(SteppingGpu("GPU-a"), FakeGpu("GPU-b")))) as monitor:
        monitor.describe()
        monitor.begin(gpus=2)  # the second one's counter does not move at all
        end_ns = time.monotonic_ns()
        for _ in range(40):
            start_ns, end_ns = end_ns, end_ns + 30_000_000
            while time.monotonic_ns() < end_ns:
                time.sleep(0.001)
            monitor.reading(start_ns, end_ns)
        assert time.monotonic_ns() - end_ns < 1.5e9, "not 40 times the wait for a step"


def test_a_device_without_a_meter_is_unknown_with_the_reason(tmp_path: Path) -> None:
    with EnergyMonitor(MeterOptions("tpu", folder=tmp_path)) as monitor:
        monitor.describe()
        start_ns = time.monotonic_ns()
        reading = monitor.reading(start_ns, time.monotonic_ns())
    assert "There is no energy meter for the device 'tpu' yet." in str(reading.reason)
    assert reading.energy_j is None


def test_a_folder_that_cannot_be_used_makes_energy_unknown_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with EnergyMonitor(options(tmp_path / "file")) as monitor:
        reading = monitor.reading(0, 1)
        monitor.begin()
        monitor.end()
    assert "WATTLE_ENERGY_DIR" in str(reading.reason)


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(MeterUnavailable, match="another user"):
        open_folder(tmp_path)


def test_a_folder_that_every_user_may_write_to_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(MeterUnavailable, match="WATTLE_ENERGY_DIR"):
        open_folder(tmp_path)
    with EnergyMonitor(options(tmp_path)) as monitor:
        assert "Every user may write" in str(monitor.reading(0, 1).reason)


class HangingGpu(FakeNvml):
    """A driver that stops answering, until the test lets it go."""

    def __init__(self) -> None:
        super().__init__(FakeGpu("GPU-a"))
        self.hangs, self.was_asked, self.release = False, threading.Event(), threading.Event()

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGpu) -> int:  # noqa: N802 - pynvml's own name
        if self.hangs:
            self.was_asked.set()
            self.release.wait()
        return super().nvmlDeviceGetTotalEnergyConsumption(gpu)


@pytest.fixture
def hanging() -> Iterator[HangingGpu]:
    nvml = HangingGpu()
    yield nvml
    nvml.release.set()


def test_a_meter_that_hangs_costs_the_caller_one_bounded_wait_in_all(
    tmp_path: Path, hanging: HangingGpu
) -> None:
    monitor = EnergyMonitor(options(tmp_path, hanging))
    monitor.start()
    monitor.describe()
    hanging.hangs = True
    assert hanging.was_asked.wait(60)
    start_s = time.monotonic()
    for _ in range(50):
        start_ns = time.monotonic_ns()
        reading = monitor.reading(start_ns, start_ns + 1)
        assert reading.reason == "The energy sampler of this machine does not answer."
    assert time.monotonic() - start_s < 25, "one second at most, and next to nothing for the 49 others"
    hanging.release.set()
    hanging.hangs = False
    monitor.stop()


def test_the_gauges_of_a_gpu_that_hangs_are_gone_after_some_seconds(
    tmp_path: Path, hanging: HangingGpu
) -> None:
    late_ns = 0
    monitor = EnergyMonitor(options(tmp_path, hanging), clock=lambda: time.monotonic_ns() + late_ns)
    monitor.start()
    wait_until(lambda: bool(monitor.gpu_facts))
    hanging.hangs = True
    assert hanging.was_asked.wait(60)
    late_ns = 6 * 10**9
    assert monitor.gpu_facts == ()
    hanging.hangs = False
    hanging.release.set()
    monitor.stop()


def test_the_thread_ends_with_the_block_and_gives_its_names_back(tmp_path: Path) -> None:
    before = threading.active_count()
    with EnergyMonitor(options(tmp_path)) as monitor:
        monitor.describe()
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert sorted(path.name for path in (tmp_path / "auto").iterdir()) == ["lock", "samples.jsonl", "workers"]
    assert not list((tmp_path / "auto" / "workers").iterdir())


def test_one_of_many_wins_the_election_and_another_when_it_steps_down(tmp_path: Path) -> None:
    first, second = Election(tmp_path), Election(tmp_path)
    assert (first.try_to_win(), second.try_to_win(), first.try_to_win()) == (True, False, True)
    first.step_down()
    assert (second.try_to_win(), first.try_to_win()) == (True, False)
    second.step_down()
    first.step_down()


def test_a_bell_is_answered_also_where_the_path_is_long(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    bell, ear = Bell(folder), Ear(folder, 7)
    assert ear.ring("sample")
    assert ear.ring("roster")
    rings = bell.wait(60)
    assert rings == {"ear-7": "roster"}, "a changed roster counts for more than a sample"
    bell.answer(rings)
    assert ear.wait(60)
    assert not ear.wait(0)
    bell.close()
    assert not ear.ring("sample"), "nobody is there"
    ear.close()


def test_the_roster_keeps_what_makes_sense(tmp_path: Path) -> None:
    roster = Roster(tmp_path)
    roster.open()
    workers = (Registration(3, 1.5, {"gpu:0": "GPU-a"}, True), Registration(20))
    for worker in workers:
        roster.write(worker)
    (tmp_path / "workers" / "9.json").write_text('{"pid": 9, "nonsense": 1}')
    (tmp_path / "workers" / "8.json").write_text("{")
    assert roster.read() == workers
    roster.remove(3)
    roster.remove(3)
    assert roster.read() == workers[1:]


@pytest.mark.parametrize(
    "processes", [open_processes(os.getpid()), PsutilProcesses()], ids=["here", "psutil"]
)
def test_children_are_counted_while_they_live_and_once_they_are_dead(processes: ProcessTable) -> None:
    now_ns = 0
    start_s = own_and_reaped_cpu_s()
    tree = ProcessTree(os.getpid(), processes, clock=lambda: now_ns)
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.4)!r}])"
    child = subprocess.Popen([sys.executable, "-c", program + "\ninput()"], stdin=subprocess.PIPE)
    burn(0.1)
    now_ns += 2 * 10**9
    tree.cpu_s()
    child.communicate(b"\n")
    now_ns += 2 * 10**9
    for _ in range(2):
        used_s = own_and_reaped_cpu_s() - start_s
        assert used_s > 0.5
        assert tree.cpu_s() == approx(used_s, abs=0.1), "each of them once"
        now_ns += 2 * 10**9


def test_a_process_that_does_not_exist_has_no_meter() -> None:
    with pytest.raises(MeterUnavailable, match="no process"):
        choose_meter("cpu", root_pid=2**22 + 1)


def test_a_meter_of_one_process_tree_has_its_sources_and_memory_apart(tmp_path: Path) -> None:
    gpu = FakeGpu("GPU-a")
    meter = choose_meter("cuda:0", root_pid=os.getpid(), powercap=tmp_path, nvml=FakeNvml(gpu))
    before = meter.read()
    gpu.energy_mj = 50_000
    burn(0.2)
    after = meter.read()
    used = {key: after.joules[key] - before.joules[key] for key in after.joules}
    meter.close()
    counted = [source.key for source in meter.sources if source.is_counted]
    assert (sorted(used), sorted(counted)) == (["cpu", "gpu:0", "ram"], ["cpu", "gpu:0"])
    assert used["gpu:0"] == approx(50)
    assert used["cpu"] > 0
    assert used["ram"] > 0


def test_codecarbons_failure_is_a_reason_not_a_zero() -> None:
    process = CodeCarbonProcess(("-c", 'print(\'{"at_ns": 1, "cpu_kwh": 1, "ram_kwh": 2, "gpu_kwh": 3}\')'))
    assert process.read().lost == {"cpu": "CodeCarbon is still starting."}
    process.start()
    wait_until(lambda: process.read().lost.get("cpu") == "CodeCarbon's process has ended.")
    assert process.read().joules == {"cpu": 3.6e6, "ram": 7.2e6}
    figure = process.find_new()
    assert figure is not None
    assert (figure.joules, figure.reason) == (None, "CodeCarbon's process has ended.")
    assert process.find_new() is None
    process.close()


class SteppingCodeCarbon(CodeCarbonProcess):
    """A tracker that reports 20 W for the CPU every half second, as one whose figures come every 2 s."""

    def __init__(self) -> None:
        program = (
            "import json, time\nfor step in range(10**6):\n    figures = dict(at_ns=time.monotonic_ns(), "
            "cpu_kwh=step * 10 / 3.6e6, ram_kwh=0, gpu_kwh=0)\n    print(json.dumps(figures), flush=True)\n"
            "    time.sleep(0.5)"
        )
        super().__init__(("-c", program))
        cpu, ram = self.sources
        self.sources = (replace(cpu, step_s=0.5), replace(ram, step_s=0.5))


def test_codecarbon_as_a_meter_charges_each_short_epoch_its_part_of_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbon_aware_trainer.energy.monitor.CodeCarbonProcess", SteppingCodeCarbon)
    monkeypatch.setattr("carbon_aware_trainer.energy.codecarbon_process.is_installed", lambda: True)
    monkeypatch.setattr("carbon_aware_trainer.energy.sampler._CODECARBON_AFTER_NS", 0)
    with EnergyMonitor(MeterOptions(choice="codecarbon", codecarbon=True, folder=tmp_path)) as monitor:
        monitor.describe()
        wait_until(lambda: monitor.power_w() is not None)
        monitor.begin()
        joules = []
        for _ in range(8):
            start_ns = time.monotonic_ns()
            burn(0.1)
            reading = monitor.reading(start_ns, time.monotonic_ns())
            assert (reading.quality, reading.reason) == ("estimated", None)
            joules.append(reading.energy_j or 0.0)
    assert min(joules) > 0, joules
    assert max(joules) < 10, "never a whole figure"
