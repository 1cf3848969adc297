"""The parts of the benchmarks that only a GPU would run, over a GPU whose counters a test sets."""

from __future__ import annotations

import time
from typing import cast

import pytest

from bench.train import Comparison, Consumption, measure_consumption, show_consumption
from bench.train_variants import Figures
from tests.fake_hardware import FakeGpu, FakeNvml


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = FakeGpu("GPU-1")
    made.load_percent = 97
    return made


def test_an_epoch_on_a_gpu_has_joules_and_a_load(gpu: FakeGpu) -> None:
    def train_epoch() -> None:
        gpu.energy_mj = cast("int", gpu.energy_mj) + 500_000

    used = measure_consumption(train_epoch, "cuda:0", least_s=0.0, nvml=FakeNvml(gpu))

    assert used.epochs == 1
    assert used.joules == pytest.approx(500, rel=0.01)  # and a little of this host's CPU
    assert used.gpu_utilisation == pytest.approx(0.97)


def test_an_epoch_that_fails_is_no_measurement(gpu: FakeGpu) -> None:
    def train_epoch() -> None:
        raise SystemExit("the process ended")

    with pytest.raises(SystemExit):
        measure_consumption(train_epoch, "cuda:0", least_s=0.0, nvml=FakeNvml(gpu))


def test_a_gpu_whose_counter_fails_leaves_the_joules_unknown(gpu: FakeGpu) -> None:
    def train_epoch() -> None:
        gpu.energy_mj = None

    used = measure_consumption(train_epoch, "cuda:0", least_s=0.0, nvml=FakeNvml(gpu))
    assert used.joules is None
    assert used.epochs == 1


def test_short_epochs_are_repeated(gpu: FakeGpu) -> None:
    began_s = time.monotonic()
    used = measure_consumption(lambda: None, "cuda:0", least_s=0.5, nvml=FakeNvml(gpu))
    assert used.epochs > 1
    assert time.monotonic() - began_s >= 0.5


def test_what_a_gpu_prints_is_speed_load_energy_and_the_share_of_the_floor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, floor = Figures(0.10, 0.5, 0.9), Figures(0.08, 0.5, 0.0)
    at_28 = Comparison([ours], [ours] * 3, [floor] * 3, is_on_gpu=True)
    show_consumption(Consumption(3, 42.0, "a counter", 0.97), at_28, images=60_000)
    printed = capsys.readouterr().out
    assert "42.0 J" in printed
    assert "600,000 images/s, utilisation 97%" in printed
    assert "80.0% of the floor" in printed
