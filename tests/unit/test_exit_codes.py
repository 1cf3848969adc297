"""Which faults at its start make a worker end for good, and which let a supervisor start it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.energy import check_meters
from carbon_aware_trainer.errors import MeterUnavailable
from errors import InvalidInput, TrainingFailed, WattleError
from tests.fake_hardware import FakeNvml
from work.program import EXIT_BROKEN, choose_exit_code
from work.supervisor import EXIT_USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrainingFailed("No training process answered within 120 s."), EXIT_BROKEN),
        (InvalidInput("--device tpu: there is none."), EXIT_USAGE),
    ],
)
def test_a_start_that_may_go_well_the_next_time_is_no_usage_error(error: WattleError, code: int) -> None:
    assert choose_exit_code(error) == code


@pytest.mark.parametrize(
    ("choice", "device", "code"),
    [("nvml", "cuda:0", EXIT_BROKEN), ("nvml", "cpu", EXIT_USAGE), ("rapl", "cpu", EXIT_USAGE)],
    ids=["driver not there yet", "setting against the device", "no such meter"],
)
def test_a_meters_fault_that_may_pass_is_no_usage_error(
    choice: Any, device: str, code: int, tmp_path: Path
) -> None:
    with pytest.raises(MeterUnavailable) as raised:
        check_meters(choice, device, powercap=tmp_path, nvml=FakeNvml(starts=False))
    assert choose_exit_code(raised.value) == code
