"""GPU and RAPL meters, and meters made of several, over counters that the test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.energy.estimate import CpuTimeMeter
from carbon_aware_trainer.energy.hardware import ThreadPower
from carbon_aware_trainer.energy.meter import CompositeMeter, UnavailableMeter
from carbon_aware_trainer.energy.nvml import open_gpu
from carbon_aware_trainer.energy.rapl import RaplMeter
from carbon_aware_trainer.errors import IntervalLost, MeterUnavailable
from tests.fake_hardware import FakeClock, FakeGpu, FakeNvml, FakeProcesses

RANGE_UJ = 262_143_328_850


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def gpu_meter(nvml: FakeNvml, clock: FakeClock, index: int = 0, **environ: str) -> Any:
    return open_gpu(index, nvml=nvml, environ=environ, clock=clock)


def test_a_gpu_counter_gives_the_joules_since_it_was_opened(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=5_000_000)
    meter = gpu_meter(FakeNvml(gpu), clock)
    joules = []
    for _ in range(3):
        gpu.energy_mj = (gpu.energy_mj or 0) + 70_000
        joules.append(meter.read().joules)
    assert joules == pytest.approx([70, 140, 210])
    assert (meter.quality, meter.source) == ("measured", "NVML energy counter of GPU 0 (NVIDIA H200)")


def test_a_gpu_counter_that_was_reset_loses_that_interval_and_goes_on(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=5_000_000)
    meter = gpu_meter(FakeNvml(gpu), clock)
    gpu.energy_mj = 5_010_000
    assert meter.read().joules == pytest.approx(10)
    gpu.energy_mj = 1_000
    with pytest.raises(IntervalLost, match="reset"):
        meter.read()
    gpu.energy_mj = 3_000
    assert meter.read().joules == pytest.approx(12)


def test_a_gpu_that_vanishes_is_unavailable_never_zero(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a")
    meter = gpu_meter(FakeNvml(gpu), clock)
    gpu.is_gone = True
    with pytest.raises(MeterUnavailable, match="GPU is lost"):
        meter.read()


def test_a_gpu_without_a_counter_has_its_power_integrated(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=None)
    meter = gpu_meter(FakeNvml(gpu), clock)
    for power_w in (100, 200, 200):
        clock.advance(0.1)
        gpu.power_mw = power_w * 1000
        counter = meter.read()
    assert counter.joules == pytest.approx(10 + 15 + 20)
    assert meter.source == "NVML power of GPU 0 (NVIDIA H200), integrated"


def test_power_that_was_not_read_for_long_is_a_lost_interval_not_a_straight_line(clock: FakeClock) -> None:
    meter = gpu_meter(FakeNvml(FakeGpu("GPU-a", energy_mj=None)), clock)
    clock.advance(5)
    with pytest.raises(IntervalLost, match=r"5\.0 s"):
        meter.read()
    clock.advance(0.1)
    assert meter.read().joules == pytest.approx(10)


def test_a_gpu_with_neither_counter_nor_power_is_unavailable_and_leaves_nvml_closed(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=None)
    gpu.power_mw = None
    nvml = FakeNvml(gpu)
    with pytest.raises(MeterUnavailable, match="Not Supported"):
        gpu_meter(nvml, clock)
    assert nvml.users == 0


def test_nvml_that_does_not_start_says_so(clock: FakeClock) -> None:
    with pytest.raises(MeterUnavailable, match="driver"):
        gpu_meter(FakeNvml(starts=False), clock)


def test_closing_a_gpu_meter_closes_nvml_once(clock: FakeClock) -> None:
    nvml = FakeNvml(FakeGpu("GPU-a"))
    gpu_meter(nvml, clock).close()
    assert nvml.users == 0


@pytest.mark.parametrize(
    ("visible", "index", "physical"),
    [("1", 0, 1), ("1,0", 1, 0), ("GPU-bbbb-1", 0, 1), ("GPU-b", 0, 1), (" 0 , 1 ", 1, 1)],
)
def test_the_index_of_cuda_is_translated_to_the_physical_gpu(
    clock: FakeClock, visible: str, index: int, physical: int
) -> None:
    nvml = FakeNvml(FakeGpu("GPU-aaaa-0"), FakeGpu("GPU-bbbb-1"))
    meter = gpu_meter(nvml, clock, index, CUDA_VISIBLE_DEVICES=visible)
    nvml.gpus[physical].energy_mj = 7_000
    assert meter.read().joules == pytest.approx(7)
    assert f"GPU {physical} " in meter.source


@pytest.mark.parametrize("visible", ["", "-1", "0", "0,-1,1"])
def test_a_gpu_that_is_not_visible_is_unavailable(clock: FakeClock, visible: str) -> None:
    nvml = FakeNvml(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    with pytest.raises(MeterUnavailable, match="not visible"):
        gpu_meter(nvml, clock, 1, CUDA_VISIBLE_DEVICES=visible)


def test_a_uuid_that_fits_two_gpus_is_not_guessed(clock: FakeClock) -> None:
    nvml = FakeNvml(FakeGpu("GPU-a1"), FakeGpu("GPU-a2"))
    with pytest.raises(MeterUnavailable, match="fits 2"):
        gpu_meter(nvml, clock, CUDA_VISIBLE_DEVICES="GPU-a")


def test_unlike_gpus_need_a_stated_order(clock: FakeClock) -> None:
    nvml = FakeNvml(FakeGpu("GPU-a", name="NVIDIA T4"), FakeGpu("GPU-b"))
    with pytest.raises(MeterUnavailable, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        gpu_meter(nvml, clock)
    assert "T4" in gpu_meter(nvml, clock, CUDA_DEVICE_ORDER="PCI_BUS_ID").source


@pytest.mark.parametrize(("is_mig", "visible"), [(True, "0"), (False, "MIG-1234")])
def test_a_mig_slice_is_not_charged_with_the_whole_board(
    clock: FakeClock, is_mig: bool, visible: str
) -> None:
    with pytest.raises(MeterUnavailable, match="MIG"):
        gpu_meter(FakeNvml(FakeGpu("GPU-a", is_mig=is_mig)), clock, CUDA_VISIBLE_DEVICES=visible)


def write_domain(root: Path, folder: str, name: str, energy_uj: int) -> Path:
    path = root / folder
    path.mkdir(exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    return path


def test_rapl_sums_the_packages_and_counts_nothing_twice(tmp_path: Path, clock: FakeClock) -> None:
    def write(package_0: int, package_1: int) -> None:
        write_domain(tmp_path, "intel-rapl:0", "package-0", package_0)
        write_domain(tmp_path, "intel-rapl:0:0", "core", package_0 // 2)
        write_domain(tmp_path, "intel-rapl:1", "package-1", package_1)
        write_domain(tmp_path, "intel-rapl-mmio:0", "package-0", package_0)

    write(1_000_000, 500)
    meter = RaplMeter(tmp_path, clock=clock)
    for step in (1, 2, 3):
        clock.advance(1)
        write(1_000_000 + step * 50_000_000, 500 + step * 30_000_000)
        assert meter.read().joules == pytest.approx(step * 80)
    assert meter.source.startswith("RAPL package-0, package-1 (whole package")
    assert "two workers" in meter.source


def test_rapl_that_wraps_goes_on(tmp_path: Path, clock: FakeClock) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 4_000_000)
    meter = RaplMeter(tmp_path, clock=clock)
    clock.advance(0.1)
    write_domain(tmp_path, "intel-rapl:0", "package-0", 6_000_000)
    assert meter.read().joules == pytest.approx(10)


def test_rapl_that_is_reset_loses_that_interval_and_no_other_package(
    tmp_path: Path, clock: FakeClock
) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", 90_000_000)
    write_domain(tmp_path, "intel-rapl:1", "package-1", 0)
    meter = RaplMeter(tmp_path, clock=clock)
    clock.advance(0.1)
    write_domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    write_domain(tmp_path, "intel-rapl:1", "package-1", 5_000_000)
    with pytest.raises(IntervalLost, match="package-0"):
        meter.read()
    clock.advance(0.1)
    write_domain(tmp_path, "intel-rapl:0", "package-0", 3_000_000)
    assert meter.read().joules == pytest.approx(2 + 5)


def test_rapl_that_could_have_wrapped_unseen_is_a_lost_interval(tmp_path: Path, clock: FakeClock) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock=clock)
    clock.advance(3600)
    with pytest.raises(IntervalLost, match="too long"):
        meter.read()


def test_no_rapl_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(MeterUnavailable, match="virtual machines"):
        RaplMeter(tmp_path / "absent")


def test_rapl_that_vanishes_is_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    folder = write_domain(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock=clock)
    (folder / "energy_uj").unlink()
    with pytest.raises(MeterUnavailable, match="energy_uj"):
        meter.read()


class RootOnlyPath(type(Path())):  # type: ignore[misc]  # the class behind Path, known at run time only
    """A path whose counters only root may read; tests often run as root, so chmod would prove nothing."""

    def read_text(self, *arguments: Any, **options: Any) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return str(super().read_text(*arguments, **options))


def test_rapl_that_only_root_may_read_names_the_remedy(tmp_path: Path) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", 0)
    with pytest.raises(MeterUnavailable, match="sudo chmod"):
        RaplMeter(RootOnlyPath(tmp_path))


def test_a_composite_adds_up_and_is_estimated_as_soon_as_one_source_is(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a")
    table = {100: [1.0, 1, 0, 0]}
    cpu = CpuTimeMeter(100, ThreadPower(4, "a CPU"), processes=FakeProcesses(table), clock=clock)
    meter = CompositeMeter([gpu_meter(FakeNvml(gpu), clock), cpu], clock=clock)
    gpu.energy_mj = 30_000
    table[100][2] = 2
    assert meter.read().joules == pytest.approx(30 + 8)
    assert (meter.quality, meter.step_s) == ("estimated", 0.1)
    assert meter.source == "NVML energy counter of GPU 0 (NVIDIA H200) + CPU time × TDP (a CPU)"
    gpu.is_gone = True
    with pytest.raises(MeterUnavailable):
        meter.read()


def test_a_meter_that_is_not_there_says_why() -> None:
    with pytest.raises(MeterUnavailable, match="no driver"):
        UnavailableMeter("no driver").read()
