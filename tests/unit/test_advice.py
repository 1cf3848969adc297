"""What readings suggest, and that they suggest nothing where they do not support it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from carbon_aware_trainer.advice import (
    Readings,
    StepTimes,
    advise,
    find_heat,
    find_idle_between_epochs,
    find_long_evaluation,
    find_power_limit,
    find_slow_data,
    find_small_batch,
)
from schema import GpuState

ROOT = Path(__file__).resolve().parents[2]
BUSY = StepTimes(data_ms=0.5, forward_ms=3.0, backward_ms=6.0, optimizer_ms=0.5)
WAITING = StepTimes(data_ms=4.0, forward_ms=2.0, backward_ms=3.5, optimizer_ms=0.5)


def gpu(**changes: object) -> GpuState:
    """A GPU that is well used."""
    calm = {
        "name": "fake", "memory_used_bytes": 2 * 2**30, "memory_total_bytes": 8 * 2**30, "utilisation": 0.95,
        "power_w": 200.0, "power_limit_w": 300.0, "sm_clock_mhz": 1800.0, "temperature_c": 60.0,
    }  # fmt: skip
    return GpuState.model_validate({**calm, **changes})


HEALTHY = Readings(
    step=BUSY,
    gpu=gpu(),
    batch_size=100,
    train_images=60_000,
    data_on="device",
    epoch_s=6.5,  # 600 steps of 10 ms, and half a second
    epochs_s=65.0,
    attempt_s=70.0,
)


def test_a_training_that_fills_its_device_gets_no_advice() -> None:
    assert advise(HEALTHY) == []


def test_where_nothing_was_read_nothing_is_said() -> None:
    assert advise(Readings()) == []
    assert advise(Readings(gpu=GpuState(name="silent"), batch_size=64, train_images=60_000)) == []


@pytest.mark.parametrize(
    ("data_on", "remedy"),
    [("files", "more CPU cores"), ("host", "device memory"), ("device", "augmentation")],
)
def test_slow_data_is_named_with_its_share_and_a_remedy_for_where_it_is(data_on: str, remedy: str) -> None:
    (said,) = advise(replace(HEALTHY, step=WAITING, data_on=data_on))
    assert "40% of a step (4 of 10 ms)" in said
    assert remedy in said


@pytest.mark.parametrize(("data_ms", "is_said"), [(2.9, False), (3.0, True)])
def test_data_is_slow_from_three_tenths_of_a_step_on(data_ms: float, is_said: bool) -> None:
    step = StepTimes(data_ms, 3.0, 3.5, 10 - 6.5 - data_ms)
    assert (find_slow_data(replace(HEALTHY, step=step)) is not None) == is_said


def test_a_batch_that_does_not_fill_the_gpu_is_named_with_the_next_size() -> None:
    (said,) = advise(replace(HEALTHY, gpu=gpu(utilisation=0.35)))
    assert "computes 35% of the time" in said
    assert "90% of a step" in said
    assert "Try batch_size 200" in said


@pytest.mark.parametrize(
    "changed",
    [
        {"gpu": gpu(utilisation=0.6)},
        {"gpu": gpu(utilisation=None)},
        {"gpu": gpu(utilisation=0.35, memory_used_bytes=5 * 2**30)},
        {"gpu": gpu(utilisation=0.35), "step": WAITING},
        {"gpu": gpu(utilisation=0.35), "step": StepTimes(1.0, 2.0, 3.0, 4.1)},
        {"gpu": gpu(utilisation=0.35), "train_images": 1_599},
        {"gpu": gpu(utilisation=0.35), "batch_size": None},
        {"gpu": None},
    ],
)
def test_a_larger_batch_is_not_suggested_where_it_would_not_help(changed: dict[str, object]) -> None:
    assert find_small_batch(replace(HEALTHY, **changed)) is None  # type: ignore[arg-type] # fields by name


def test_a_long_evaluation_is_told_in_seconds_of_an_epoch() -> None:
    (said,) = advise(replace(HEALTHY, epoch_s=10.0))
    assert "4 s of an epoch's 10 s (40%)" in said


@pytest.mark.parametrize(("epoch_s", "images"), [(8.5, 60_000), (0.9, 600), (None, 60_000)])
def test_an_epoch_of_steps_a_short_one_and_an_unknown_one_get_no_advice(
    epoch_s: float | None, images: int
) -> None:
    assert find_long_evaluation(replace(HEALTHY, epoch_s=epoch_s, train_images=images)) is None


def test_time_outside_the_epochs_is_told_in_seconds_of_the_attempt() -> None:
    (said,) = advise(replace(HEALTHY, epochs_s=30.0, attempt_s=60.0))
    assert "30 s of the attempt's 60 s (50%)" in said
    assert find_idle_between_epochs(replace(HEALTHY, epochs_s=43.0, attempt_s=60.0)) is None
    assert find_idle_between_epochs(replace(HEALTHY, epochs_s=0.2, attempt_s=0.9)) is None


def test_a_power_limit_that_is_reached_is_told_in_watts_with_the_clock() -> None:
    (said,) = advise(replace(HEALTHY, gpu=gpu(power_w=287.0, sm_clock_mhz=1410)))
    assert "287 of the 300 W" in said
    assert "now 1,410 MHz" in said
    assert "MHz" not in (find_power_limit(replace(HEALTHY, gpu=gpu(power_w=300, sm_clock_mhz=None))) or "")


@pytest.mark.parametrize(("power_w", "limit_w"), [(284.0, 300.0), (None, 300.0), (300.0, None), (0.0, 0.0)])
def test_a_power_limit_that_is_far_or_unknown_is_not_told(
    power_w: float | None, limit_w: float | None
) -> None:
    assert find_power_limit(replace(HEALTHY, gpu=gpu(power_w=power_w, power_limit_w=limit_w))) is None


@pytest.mark.parametrize(("temperature_c", "is_said"), [(82.9, False), (88.0, True), (None, False)])
def test_a_hot_gpu_is_told_from_83_degrees_on(temperature_c: float | None, is_said: bool) -> None:
    said = find_heat(replace(HEALTHY, gpu=gpu(temperature_c=temperature_c)))
    assert (said is not None) == is_said
    assert said is None or "88 °C and its cores run at 1,800 MHz" in said


def test_every_rule_is_asked() -> None:
    wrong = replace(
        HEALTHY,
        step=WAITING,
        epoch_s=10.0,
        epochs_s=30.0,
        attempt_s=60.0,
        gpu=gpu(power_w=300.0, temperature_c=90.0),
    )
    rules: list[Callable[[Readings], str | None]] = [
        find_slow_data, find_long_evaluation, find_idle_between_epochs, find_power_limit, find_heat,
    ]  # fmt: skip
    assert advise(wrong) == [rule(wrong) for rule in rules]
    assert len(advise(wrong)) == 5


def test_no_setting_of_a_device_is_ever_changed() -> None:
    changing = re.compile(r"nvmlDevice(Set|Reset|Clear)|nvmlSystemSet|nvmlUnitSet")
    sources = [
        path for path in ROOT.rglob("*.py")
        if not {".venv", ".venv-peers", ".venv-tools", "build", "data", "tests"}
        & set(path.relative_to(ROOT).parts)
    ]  # fmt: skip
    assert any("nvmlDeviceGet" in path.read_text() for path in sources)
    wrong = [path for path in sources if changing.search(path.read_text())]
    assert not wrong
