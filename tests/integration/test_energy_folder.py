"""The files that the workers of a machine share: what fails gives them back, what is cleaned away returns."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from carbon_aware_trainer.energy import EnergyMonitor, MeterOptions
from carbon_aware_trainer.energy.bell import Bell, Ear
from carbon_aware_trainer.energy.host import Sample
from carbon_aware_trainer.energy.sample_log import LogWriter
from carbon_aware_trainer.energy.sampler import Election
from tests.fake_hardware import FakeGpu, FakeNvml
from tests.fault.acts import command_of
from tests.programs import wait_until


def options(folder: Path, nvml: FakeNvml | None = None) -> MeterOptions:
    """A CPU without RAPL, and GPUs that a test sets."""
    device = "cpu" if nvml is None else "cuda:0"
    return MeterOptions(device, folder=folder, powercap=folder, nvml=nvml, environ={})


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the files of /proc")
@pytest.mark.parametrize("in_the_way", ["samples.jsonl.old", "bell"])
def test_a_sampler_that_fails_again_and_again_keeps_nothing_open(
    tmp_path: Path, in_the_way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbon_aware_trainer.energy.monitor._RETRY_S", 0.01)
    (tmp_path / "auto" / in_the_way / "full").mkdir(parents=True)
    (tmp_path / "auto" / "samples.jsonl").touch()
    nvml = FakeNvml(FakeGpu("GPU-a"))
    attempts = count_calls(monkeypatch, "carbon_aware_trainer.energy.monitor.choose_meters")
    with EnergyMonitor(options(tmp_path, nvml)) as monitor:
        wait_until(lambda: len(attempts) > 3)
        before = open_files()
        wait_until(lambda: len(attempts) > 40)
        assert open_files() < before + 10
        assert "sampler failed" in str(monitor.reading(0, 1).reason)
    assert nvml.users == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="writes to /dev/full")
def test_a_log_on_a_full_disk_is_closed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl.old").touch()
    log = LogWriter(tmp_path, "s")
    log.describe((), {})
    before = open_files()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._file or -1)
    os.close(full)
    log.append(Sample(1, {}, {}, 0))
    with pytest.raises(OSError, match="No space"):
        log.close()
    assert open_files() == before - 1


def test_a_codecarbon_of_a_sampler_that_fails_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbon_aware_trainer.energy.monitor._RETRY_S", 0.01)
    started = count_calls(monkeypatch, "carbon_aware_trainer.energy.monitor.choose_meters")
    (tmp_path / "codecarbon" / "bell" / "full").mkdir(parents=True)
    with EnergyMonitor(MeterOptions(folder=tmp_path, choice="codecarbon")):
        wait_until(lambda: len(started) > 2)
    assert not [child for child in psutil.Process().children() if "codecarbon_process" in command_of(child)]


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Note every call of a function, which is still carried out."""
    module, _, function = name.rpartition(".")
    real = getattr(sys.modules[module], function)
    calls: list[str] = []

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return real(*args, **options)

    monkeypatch.setattr(name, counted)
    return calls


def test_a_lock_whose_file_is_gone_is_given_up_so_that_there_is_one_sampler(tmp_path: Path) -> None:
    first, second = Election(tmp_path), Election(tmp_path)
    assert (first.try_to_win(), second.try_to_win()) == (True, False)
    (tmp_path / "lock").unlink()
    first.keep()
    assert not first.is_won
    assert (second.try_to_win(), second.try_to_win(), first.try_to_win()) == (False, True, False)
    os.utime(tmp_path / "lock", (0, 0))
    second.keep()
    assert (tmp_path / "lock").stat().st_mtime > 0, "it does not age"
    second.step_down()
    first.step_down()


def test_a_bell_that_has_a_successor_leaves_it_its_name(tmp_path: Path) -> None:
    first, second, ear = Bell(tmp_path), Bell(tmp_path), Ear(tmp_path, 7)
    first.close()
    assert ear.ring("sample")
    (tmp_path / "ear-7").unlink()
    assert not ear.ring("sample"), "no answer could arrive"
    second.close()
    ear.close()


def test_a_worker_whose_files_are_cleaned_away_puts_them_back(tmp_path: Path) -> None:
    with EnergyMonitor(options(tmp_path)) as monitor:
        monitor.describe()
        registration = tmp_path / "auto" / "workers" / f"{os.getpid()}.json"
        os.utime(registration, (0, 0))
        wait_until(lambda: registration.stat().st_mtime > 0)
        old = (tmp_path / "auto" / "lock").stat()
        shutil.rmtree(tmp_path / "auto")
        lock = tmp_path / "auto" / "lock"
        wait_until(lambda: registration.exists() and lock.exists())
        assert not os.path.samestat(old, lock.stat()) or lock.stat().st_ctime > old.st_ctime
        samples = tmp_path / "auto" / "samples.jsonl"
        # What begins before the first sample is not known, also later.
        wait_until(lambda: samples.exists() and samples.read_text().endswith("\n"))
        start_ns = time.monotonic_ns()
        wait_until(lambda: monitor.reading(start_ns, time.monotonic_ns()).energy_j is not None)
