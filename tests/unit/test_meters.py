"""GPU and RAPL meters over counters that the test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.energy.memory import ram_constant_w
from carbon_aware_trainer.energy.meter import Meter
from carbon_aware_trainer.energy.nvml import GpuPanel, find_uuid, list_visible_gpus, open_gpu
from carbon_aware_trainer.energy.own_meter import check_meters
from carbon_aware_trainer.energy.rapl import RaplMeter
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counters
from tests.fake_hardware import RANGE_UJ, FakeClock, FakeGpu, FakeNvml, write_domain

approx: Any = pytest.approx
GPU = "gpu:0"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def gpu_meter(nvml: FakeNvml, clock: FakeClock, uuid: str = "GPU-a") -> Meter:
    return open_gpu(uuid, key=GPU, nvml=nvml, clock=clock)


def used(counters: Counters) -> tuple[Any, str | None]:
    """The joules of the GPU, and why some of them are not known."""
    return approx(counters.joules[GPU]), counters.lost.get(GPU)


def test_a_gpu_counter_gives_the_joules_since_it_was_opened(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=5_000_000)
    meter = gpu_meter(FakeNvml(gpu), clock)
    for joules in (70, 140, 210):
        gpu.energy_mj = (gpu.energy_mj or 0) + 70_000
        assert used(meter.read()) == (joules, None)
    (source,) = meter.sources
    assert (source.key, source.quality, source.is_counted) == (GPU, "measured", True)
    assert source.text == "NVML energy counter of NVIDIA H200, GPU-a"
    assert "0.2 s" in source.error


def test_a_gpu_counter_that_was_reset_loses_that_interval_and_goes_on(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=5_000_000)
    meter = gpu_meter(FakeNvml(gpu), clock)
    gpu.energy_mj = 5_010_000
    assert used(meter.read()) == (10, None)
    gpu.energy_mj = 1_000
    assert "was reset" in str(used(meter.read())[1])
    gpu.energy_mj = 3_000
    assert used(meter.read()) == (12, None)


@pytest.mark.parametrize("has_counter", [True, False])
def test_what_a_vanished_gpu_used_is_lost_until_it_is_back(clock: FakeClock, has_counter: bool) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=0 if has_counter else None)
    meter = gpu_meter(FakeNvml(gpu), clock)
    gpu.is_gone = True
    clock.advance(0.1)
    assert "GPU is lost" in str(used(meter.read())[1])
    gpu.is_gone = False
    gpu.energy_mj = 90_000 if has_counter else None
    clock.advance(0.1)
    joules, lost = used(meter.read())
    assert joules == 0
    assert "GPU is lost" in str(lost)
    clock.advance(0.1)
    gpu.energy_mj = 100_000 if has_counter else None
    assert used(meter.read()) == (10, None)


def test_a_gpu_without_a_counter_has_its_power_integrated(clock: FakeClock) -> None:
    gpu = FakeGpu("GPU-a", energy_mj=None)
    meter = gpu_meter(FakeNvml(gpu), clock)
    for power_w in (100, 200, 200):
        clock.advance(0.1)
        gpu.power_mw = power_w * 1000
        counters = meter.read()
    assert used(counters) == (10 + 15 + 20, None)
    assert meter.sources[0].text == "NVML power of NVIDIA H200, GPU-a, integrated"


def test_power_that_was_not_read_for_long_is_a_lost_interval_not_a_straight_line(clock: FakeClock) -> None:
    meter = gpu_meter(FakeNvml(FakeGpu("GPU-a", energy_mj=None)), clock)
    clock.advance(5)
    assert "5.0 s" in str(used(meter.read())[1])
    clock.advance(0.1)
    assert used(meter.read()) == (10, None)


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


def test_nvml_is_closed_as_often_as_it_was_opened(clock: FakeClock) -> None:
    nvml = FakeNvml(FakeGpu("GPU-a"))
    gpu_meter(nvml, clock).close()
    GpuPanel("GPU-a", nvml=nvml).close()
    find_uuid(0, nvml=nvml, environ={})
    for fails in (lambda: find_uuid(7, nvml=nvml, environ={}), lambda: GpuPanel("GPU-z", nvml=nvml)):
        with pytest.raises(MeterUnavailable):
            fails()
    assert nvml.users == 0


def test_each_visible_gpu_has_a_name_by_which_a_program_sees_it_alone() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    assert list_visible_gpus(nvml=nvml, environ={}) == ["GPU-a", "GPU-b"]
    assert nvml.users == 0
    assert list_visible_gpus(nvml=nvml, environ={"CUDA_VISIBLE_DEVICES": "1,MIG-7"}) == ["1", "MIG-7"]
    assert list_visible_gpus(nvml=nvml, environ={"CUDA_VISIBLE_DEVICES": ""}) == []
    with pytest.raises(MeterUnavailable, match="driver"):
        list_visible_gpus(nvml=FakeNvml(starts=False), environ={})


@pytest.mark.parametrize(
    ("visible", "index", "uuid"),
    [
        ("1", 0, "GPU-bbbb-1"),
        ("1,0", 1, "GPU-aaaa-0"),
        ("GPU-bbbb-1", 0, "GPU-bbbb-1"),
        ("GPU-b", 0, "GPU-bbbb-1"),
        (" 0 , 1 ", 1, "GPU-bbbb-1"),
    ],
)
def test_the_index_of_cuda_is_translated_to_the_physical_gpu(visible: str, index: int, uuid: str) -> None:
    nvml = FakeNvml(FakeGpu("GPU-aaaa-0"), FakeGpu("GPU-bbbb-1"))
    assert find_uuid(index, nvml=nvml, environ={"CUDA_VISIBLE_DEVICES": visible}) == uuid


@pytest.mark.parametrize("visible", ["", "-1", "0", "0,-1,1"])
def test_a_gpu_that_is_not_visible_is_unavailable(visible: str) -> None:
    nvml = FakeNvml(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    with pytest.raises(MeterUnavailable, match="not visible"):
        find_uuid(1, nvml=nvml, environ={"CUDA_VISIBLE_DEVICES": visible})


def test_a_uuid_that_fits_two_gpus_is_not_guessed() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a1"), FakeGpu("GPU-a2"))
    with pytest.raises(MeterUnavailable, match="fits 2"):
        find_uuid(0, nvml=nvml, environ={"CUDA_VISIBLE_DEVICES": "GPU-a"})


def test_unlike_gpus_need_a_stated_order() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a", name="NVIDIA T4"), FakeGpu("GPU-b"))
    with pytest.raises(MeterUnavailable, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        find_uuid(0, nvml=nvml, environ={})
    assert find_uuid(0, nvml=nvml, environ={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == "GPU-a"


@pytest.mark.parametrize(("is_mig", "visible"), [(True, "0"), (False, "MIG-1234")])
def test_a_mig_slice_is_not_charged_with_the_whole_board(is_mig: bool, visible: str) -> None:
    with pytest.raises(MeterUnavailable, match="MIG"):
        find_uuid(
            0, nvml=FakeNvml(FakeGpu("GPU-a", is_mig=is_mig)), environ={"CUDA_VISIBLE_DEVICES": visible}
        )


@pytest.mark.parametrize(("mode", "is_whole"), [(0, True), (1, True), (2, False)])
def test_a_vgpu_is_no_board_but_one_passed_through_is(mode: int, is_whole: bool) -> None:
    gpu = FakeGpu("GPU-a")
    gpu.virtualization = mode
    if is_whole:
        assert find_uuid(0, nvml=FakeNvml(gpu), environ={}) == "GPU-a"
    else:
        with pytest.raises(MeterUnavailable, match="vGPU"):
            find_uuid(0, nvml=FakeNvml(gpu), environ={})


def test_the_gauges_of_a_gpu_are_read_and_one_it_lacks_is_none() -> None:
    facts = GpuPanel("GPU-a", nvml=FakeNvml(FakeGpu("GPU-a"))).read()
    assert (facts.name, facts.utilisation, facts.power_w, facts.power_limit_w) == (
        "NVIDIA H200",
        0.42,
        100,
        700,
    )
    assert (facts.memory_used_bytes, facts.memory_total_bytes) == (3 * 2**30, 141 * 2**30)
    assert (facts.sm_clock_mhz, facts.temperature_c) == (1980, None)


def test_rapl_sums_packages_and_memory_apart_and_counts_nothing_twice(
    tmp_path: Path, clock: FakeClock
) -> None:
    def write(package_0: int, package_1: int, dram_0: int) -> None:
        write_domain(tmp_path, "intel-rapl:0", "package-0", package_0)
        write_domain(tmp_path, "intel-rapl:0:0", "core", package_0 // 2)
        write_domain(tmp_path, "intel-rapl:0:1", "dram", dram_0)
        write_domain(tmp_path, "intel-rapl:1", "package-1", package_1)
        write_domain(tmp_path, "intel-rapl:2", "psys", package_0 * 2)
        write_domain(tmp_path, "intel-rapl-mmio:0", "package-0", package_0)

    write(1_000_000, 500, 7)
    meter = RaplMeter(tmp_path, clock=clock)
    for step in (1, 2, 3):
        clock.advance(1)
        write(1_000_000 + step * 50_000_000, 500 + step * 30_000_000, 7 + step * 9_000_000)
        counters = meter.read()
        assert counters.joules == {"cpu": approx(step * 80), "dram": approx(step * 9)}
        assert counters.lost == {}
    assert [(source.key, source.text) for source in meter.sources] == [
        ("cpu", "RAPL package-0, package-1"),
        ("dram", "RAPL dram of package-0"),
    ]


def test_rapl_that_wraps_goes_on(tmp_path: Path, clock: FakeClock) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 4_000_000)
    meter = RaplMeter(tmp_path, clock=clock)
    clock.advance(0.1)
    write_domain(tmp_path, "intel-rapl:0", "package-0", 6_000_000)
    assert (meter.read().joules, meter.read().lost) == ({"cpu": approx(10)}, {})


def test_rapl_that_is_reset_loses_that_interval_and_no_other_domain(tmp_path: Path, clock: FakeClock) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", 90_000_000)
    write_domain(tmp_path, "intel-rapl:0:0", "dram", 0)
    meter = RaplMeter(tmp_path, clock=clock)
    clock.advance(0.1)
    write_domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    write_domain(tmp_path, "intel-rapl:0:0", "dram", 5_000_000)
    counters = meter.read()
    assert counters.joules == {"cpu": 0, "dram": approx(5)}
    assert list(counters.lost) == ["cpu"]
    clock.advance(0.1)
    write_domain(tmp_path, "intel-rapl:0", "package-0", 3_000_000)
    counters = meter.read()
    assert (counters.joules["cpu"], counters.lost) == (approx(2), {})


def test_rapl_that_could_have_wrapped_unseen_is_a_lost_interval(tmp_path: Path, clock: FakeClock) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock=clock)
    clock.advance(3600)
    assert "too long" in meter.read().lost["cpu"]


def test_no_rapl_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(MeterUnavailable, match="virtual machines"):
        RaplMeter(tmp_path / "absent")


def test_rapl_that_vanishes_is_lost_until_it_is_back(tmp_path: Path, clock: FakeClock) -> None:
    folder = write_domain(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock=clock)
    (folder / "energy_uj").unlink()
    assert "energy_uj" in meter.read().lost["cpu"]
    clock.advance(0.1)
    (folder / "energy_uj").write_text("50000000")
    counters = meter.read()
    assert (counters.joules["cpu"], "energy_uj" in counters.lost["cpu"]) == (0, True)
    clock.advance(0.1)
    (folder / "energy_uj").write_text("51000000")
    counters = meter.read()
    assert (counters.joules["cpu"], counters.lost) == (approx(1), {})


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


@pytest.mark.parametrize(
    ("gib", "is_arm", "power_w"),
    [(1, False, 10), (8, False, 10), (32, False, 20), (64, False, 20), (128, False, 38), (1024, False, 38),
     (2000, False, 70), (4, True, 3), (32, True, 6)],
)  # fmt: skip
def test_the_memory_constant_is_codecarbons(gib: float, is_arm: bool, power_w: float) -> None:
    assert ram_constant_w(gib, is_arm=is_arm) == approx(power_w)


@pytest.mark.parametrize(
    ("choice", "device", "remedy"),
    [("nvml", "cpu", "trains on the CPU"), ("nvml", "cuda:0", "driver"), ("rapl", "cpu", "virtual machines")],
)
def test_a_meter_that_is_forced_and_absent_is_an_error_with_the_setting(
    choice: Any, device: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(MeterUnavailable, match=rf"WATTLE_METER={choice} .*{remedy}.*WATTLE_METER=auto"):
        check_meters(choice, device, powercap=tmp_path, nvml=FakeNvml(starts=False))


def test_a_meter_that_is_forced_and_there_is_no_error(tmp_path: Path) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0", 0)
    check_meters("rapl", "cpu", powercap=tmp_path)
    check_meters("nvml", "cuda:0", nvml=FakeNvml(FakeGpu("GPU-a")))
    check_meters("auto", "cpu", powercap=tmp_path / "absent")
