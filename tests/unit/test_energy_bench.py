"""What the energy benchmarks compute, with figures and clocks as arguments."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bench.energy import Watch
from bench.energy_ratios import Figure, Ratio, ours_over, scale, summarise, total_over_total
from bench.energy_windows import Window, to_row
from bench.gpu_counter import GpuSpan, read_both_ways
from bench.observers.protocol import CannotRead, Observer, serve
from carbon_aware_trainer.errors import MeterUnavailable
from tests.fake_hardware import FakeClock, FakeGpu, FakeNvml

OURS = Figure({"cpu": 12.0, "gpu": 300.0, "ram": 40.0}, span_s=2.0, core_share=0.003)
CODECARBON = Figure({"cpu": 16.0, "ram": 40.0}, span_s=2.1, core_share=0.001)
ZEUS = Figure(reason="ZeusCPUInitError: no RAPL")
WINDOW = Window(OURS, CODECARBON, ZEUS, load_cpu_s=3.0, machine_cpu_s=4.0)


def test_only_parts_that_both_read_are_compared_and_no_constant() -> None:
    assert ours_over(OURS, CODECARBON) == Ratio(0.75)


def test_totals_are_compared_as_each_shows_them() -> None:
    assert total_over_total(OURS, CODECARBON) == Ratio(312 / 56)


def test_nothing_in_common_is_a_reason_and_no_number() -> None:
    ratio = ours_over(OURS, Figure({"dram": 3.0, "ram": 40.0}))
    assert ratio.value is None
    assert ratio.reason


def test_an_observer_that_reads_nothing_gives_its_own_reason() -> None:
    assert ours_over(OURS, ZEUS) == Ratio(reason="ZeusCPUInitError: no RAPL")
    assert total_over_total(ZEUS, CODECARBON) == Ratio(reason="ZeusCPUInitError: no RAPL")


def test_scaling_touches_one_part() -> None:
    assert scale(CODECARBON, "cpu", 0.5).joules == {"cpu": 8.0, "ram": 40.0}


def test_ratios_are_summarised_by_the_median_and_the_ends() -> None:
    spread = summarise([Ratio(0.9), Ratio(1.5), Ratio(1.0)])
    assert (spread.median, spread.lowest, spread.highest, spread.n) == (1.0, 0.9, 1.5, 3)


@pytest.mark.parametrize("ratios", [[Ratio(1.0), Ratio(reason="lost")], []])
def test_one_unknown_ratio_makes_the_median_unknown(ratios: list[Ratio]) -> None:
    spread = summarise(ratios)
    assert (spread.median, spread.lowest, spread.highest) == (None, None, None)
    assert spread.reason == ("lost" if ratios else "Nothing was measured.")


def test_a_row_has_every_key_and_null_with_a_reason() -> None:
    row = to_row([WINDOW, WINDOW])
    assert row["n"] == 2
    assert row["ours_over_codecarbon"] == 0.75
    assert row["ours_over_codecarbon_by_cpu_time"] == 1.0, "the load is 3 of the machine's 4 CPU seconds"
    assert (row["ours_over_zeus"], row["ours_over_zeus_reason"]) == (None, "ZeusCPUInitError: no RAPL")
    assert row["sampler_core_share"] == 0.003
    assert "gpu_power_over_counter" not in row


def test_a_load_that_seems_to_work_more_than_the_machine_is_all_of_it() -> None:
    assert replace(WINDOW, load_cpu_s=4.02).load_share == 1.0


def test_a_row_of_a_gpu_compares_power_with_the_counter() -> None:
    row = to_row([replace(WINDOW, gpu=GpuSpan(200.0, 203.0, 2.0))])
    assert row["gpu_power_over_counter"] == 1.015
    row = to_row([replace(WINDOW, gpu_reason="no counter")])
    assert (row["gpu_power_over_counter"], row["gpu_power_over_counter_reason"]) == (None, "no counter")


class TimedGpu:
    """A GPU whose counter follows a power that changes with time, and a load that ends after ``load_s``."""

    def __init__(self, load_s: float) -> None:
        self.clock, self.gpu = FakeClock(), FakeGpu("GPU-a")
        self.nvml = FakeNvml(self.gpu)
        self._left_s = load_s

    def wait(self, seconds: float) -> bool:
        seconds = min(seconds, self._left_s)
        self._left_s -= seconds
        self.clock.advance(seconds)
        assert self.gpu.power_mw is not None
        assert self.gpu.energy_mj is not None
        self.gpu.energy_mj += round(self.gpu.power_mw * seconds)
        return self._left_s <= 1e-9

    def read(self) -> GpuSpan:
        return read_both_ways(self.nvml, 0, self.wait, environ={}, clock=self.clock)


def test_a_constant_power_is_the_same_by_counter_and_by_integration() -> None:
    gpu = TimedGpu(load_s=2.02)
    span = gpu.read()
    assert span.counter_j == pytest.approx(202)
    assert span.power_j == pytest.approx(202)
    assert span.span_s == pytest.approx(2.02)
    assert span.power_over_counter.value == pytest.approx(1)
    assert gpu.nvml.users == 0, "both meters have given NVML back"


def test_a_counter_that_counts_less_than_the_power_shows_as_a_difference() -> None:
    gpu = TimedGpu(load_s=1.0)
    wait = gpu.wait

    def wait_and_lose_half(seconds: float) -> bool:
        before = gpu.gpu.energy_mj or 0
        is_over = wait(seconds)
        gpu.gpu.energy_mj = before + ((gpu.gpu.energy_mj or 0) - before) // 2
        return is_over

    gpu.wait = wait_and_lose_half  # type: ignore[method-assign] # this test's own fake
    assert gpu.read().power_over_counter.value == pytest.approx(2)


def test_a_counter_that_stands_still_is_a_reason() -> None:
    assert GpuSpan(0.0, 5.0, 1.0).power_over_counter == Ratio(reason="The counter did not move.")


@pytest.mark.parametrize(
    ("gpu", "starts", "reason"),
    [
        (FakeGpu("GPU-a", energy_mj=None), True, "no energy counter beside its power: Not Supported"),
        (FakeGpu("GPU-a"), False, "NVML does not start"),
        (FakeGpu("GPU-a", is_mig=True), True, "MIG"),
    ],
)
def test_a_gpu_that_cannot_be_read_both_ways_says_why(gpu: FakeGpu, starts: bool, reason: str) -> None:
    nvml = FakeNvml(gpu, starts=starts)
    with pytest.raises(MeterUnavailable, match=reason):
        read_both_ways(nvml, 0, lambda _: True, environ={})
    assert nvml.users == 0


def test_a_gpu_that_vanishes_under_the_load_says_so() -> None:
    gpu = TimedGpu(load_s=1.0)

    def wait(seconds: float) -> bool:
        gpu.gpu.is_gone = True
        return gpu.wait(seconds)

    with pytest.raises(MeterUnavailable, match="GPU is lost"):
        read_both_ways(gpu.nvml, 0, wait, environ={}, clock=gpu.clock)


def test_power_that_was_not_read_for_a_while_leaves_no_difference() -> None:
    gpu = TimedGpu(load_s=2.0)
    with pytest.raises(MeterUnavailable, match=r"not read for 1\.5 s"):
        read_both_ways(gpu.nvml, 0, lambda _: gpu.wait(1.5), environ={}, clock=gpu.clock)


def test_a_counter_that_was_reset_under_the_load_leaves_no_difference() -> None:
    gpu = TimedGpu(load_s=0.2)
    gpu.gpu.energy_mj = 5_000_000

    def wait(seconds: float) -> bool:
        gpu.gpu.energy_mj = 0
        return gpu.wait(seconds)

    with pytest.raises(MeterUnavailable, match="was reset"):
        read_both_ways(gpu.nvml, 0, wait, environ={}, clock=gpu.clock)


def test_a_gpu_is_read_both_ways_while_its_load_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpu, waits = TimedGpu(load_s=0.5), []

    def wait(timeout_s: float | None) -> bool:
        waits.append(timeout_s)
        return True if timeout_s is None else gpu.wait(timeout_s)

    watch = Watch("cuda:0", gpu.nvml)
    watch(wait)
    assert watch.span is not None
    assert watch.span.counter_j == pytest.approx(50)
    assert len(waits) == 11, "20 times a second, and then until the load has answered"


def test_a_gpu_without_a_counter_leaves_the_load_alone_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    watch = Watch("cuda:0", FakeNvml(FakeGpu("GPU-a", energy_mj=None)))
    waits: list[float | None] = []

    def wait(timeout_s: float | None) -> bool:
        waits.append(timeout_s)
        return True

    watch(wait)
    assert (watch.span, waits) == (None, [None])
    assert watch.reason == "cuda:0 has no energy counter beside its power: Not Supported."


class FakeObserver:
    covers = "a test"

    def __init__(self, spans: list[Mapping[str, float] | str]) -> None:
        self._spans = iter(spans)

    def begin(self) -> None:
        pass

    def end(self) -> Mapping[str, float]:
        span = next(self._spans)
        if isinstance(span, str):
            raise CannotRead(span)
        return span


def answers_of(observer: Observer, lines: str) -> list[dict[str, object]]:
    answers = io.StringIO()
    serve(lambda: observer, lines=io.StringIO(lines), answers=answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_an_observer_answers_every_line_and_goes_on_after_a_span_it_could_not_read() -> None:
    spans: list[Mapping[str, float] | str] = ["lost", {"cpu": 5.0}]
    first, begun, lost, begun_again, read = answers_of(FakeObserver(spans), "begin\nend\n" * 2)
    assert first == {"covers": "a test"}
    assert begun == begun_again == {}
    assert lost["reason"] == "lost"
    assert "joules" not in lost
    assert read["joules"] == {"cpu": 5.0}
    assert "reason" not in read


def test_an_observer_that_cannot_open_says_why_and_ends() -> None:
    def fail() -> Observer:
        raise CannotRead("no counter")

    answers = io.StringIO()
    serve(fail, lines=io.StringIO("begin\n"), answers=answers)
    assert json.loads(answers.getvalue()) == {"reason": "no counter"}
