"""The sampler of a machine: who is on its roster, and what cannot be read."""

from __future__ import annotations

from carbon_aware_trainer.energy.host import HostSampler
from carbon_aware_trainer.energy.meter import Meter
from carbon_aware_trainer.energy.nvml import open_gpu
from carbon_aware_trainer.energy.roster import Registration
from carbon_aware_trainer.records import Source
from tests.fake_hardware import FakeClock, FakeCpu, FakeGpu, FakeMeters, FakeNvml, FakeProcesses

ROOT = 100


def machine(*gpus: FakeGpu, table: dict[int, list[float]]) -> tuple[HostSampler, FakeClock]:
    clock = FakeClock()
    nvml = FakeNvml(*gpus)

    def open_(uuid: str) -> Meter:
        return open_gpu(uuid, key=uuid, nvml=nvml, clock=clock)

    meters = FakeMeters((), (Source("cpu", "estimated", "a fake", "none", 0.001), 4.0), open_)
    return HostSampler(meters, FakeProcesses(table), cpu=FakeCpu(), clock=clock), clock


def test_only_gpus_that_a_worker_has_are_read() -> None:
    visible, hidden = FakeGpu("GPU-a"), FakeGpu("GPU-b")
    host, clock = machine(visible, hidden, table={ROOT: [1.0, 1, 0, 0]})
    host.enter([Registration(ROOT, gpus={"gpu:0": "GPU-a"}, is_training=True)])
    host.sample()
    visible.energy_mj, hidden.energy_mj = 5_000, 7_000
    clock.advance(1)
    sample = host.sample()
    assert sample.own[ROOT] == {"cpu": 0, "GPU-a": 5}
    assert (set(sample.host), sample.training) == ({"cpu", "GPU-a"}, 1)


def test_a_gpu_without_a_meter_is_named_and_hides_nothing_else() -> None:
    table = {ROOT: [1.0, 1, 0, 0]}
    host, clock = machine(FakeGpu("GPU-a"), table=table)
    host.enter([Registration(ROOT, gpus={"gpu:0": "GPU-z"}, is_training=True)])
    host.sample()
    table[ROOT][2] += 2
    clock.advance(1)
    assert host.sample().own[ROOT] == {"cpu": 8}
    assert "Not Found" in host.failed_gpus["GPU-z"]


def test_a_worker_whose_process_is_gone_or_another_one_is_taken_off() -> None:
    table = {ROOT: [1.0, 1, 0, 0], 101: [1.0, 7, 0, 0]}
    host, _ = machine(table=table)
    workers = [Registration(ROOT, started=1.0), Registration(101, started=6.0), Registration(102)]
    assert host.enter(workers) == [101, 102]
    assert set(host.sample().own) == {ROOT}
    assert host.enter([]) == []
    assert host.sample().own == {}


def test_a_worker_that_got_the_pid_of_a_dead_one_is_counted_from_its_start() -> None:
    table = {ROOT: [1.0, 1, 0, 0]}
    host, clock = machine(table=table)
    host.enter([Registration(ROOT, started=1.0)])
    host.sample()
    table[ROOT] = [1.0, 9, 0, 0]
    clock.advance(2)
    host.enter([Registration(ROOT, started=9.0)])
    host.sample()
    table[ROOT][2] += 3
    clock.advance(1)
    sample = host.sample()
    assert (sample.own[ROOT], sample.lost_of) == ({"cpu": 12}, {})


def test_a_worker_that_dies_between_two_looks_is_lost_and_the_others_go_on() -> None:
    table = {ROOT: [1.0, 1, 0, 0], 101: [1.0, 7, 0, 0]}
    host, clock = machine(table=table)
    host.enter([Registration(ROOT), Registration(101)])
    host.sample()
    del table[101]
    table[ROOT][2] += 1
    clock.advance(2)
    sample = host.sample()
    assert sample.own[ROOT] == {"cpu": 4}
    assert "101" in sample.lost_of[101]


def test_closing_gives_every_gpu_back() -> None:
    clock, nvml = FakeClock(), FakeNvml(FakeGpu("GPU-a"))
    meters = FakeMeters((), None, lambda uuid: open_gpu(uuid, key=uuid, nvml=nvml, clock=clock))
    host = HostSampler(meters, FakeProcesses({ROOT: [1.0, 1, 0, 0]}), cpu=FakeCpu(), clock=clock)
    host.enter([Registration(ROOT, gpus={"gpu:0": "GPU-a"})])
    assert nvml.users == 1
    host.close()
    assert nvml.users == 0


def test_a_gpu_that_failed_to_open_is_tried_again_a_minute_later() -> None:
    clock, nvml = FakeClock(), FakeNvml(FakeGpu("GPU-a"), starts=False)
    asked: list[str] = []

    def open_(uuid: str) -> Meter:
        asked.append(uuid)
        return open_gpu(uuid, key=uuid, nvml=nvml, clock=clock)

    host = HostSampler(
        FakeMeters((), None, open_), FakeProcesses({ROOT: [1.0, 1, 0, 0]}), cpu=FakeCpu(), clock=clock
    )
    workers = [Registration(ROOT, gpus={"gpu:0": "GPU-a"})]
    host.enter(workers)
    nvml.starts = True
    clock.advance(59)
    host.enter(workers)
    assert (len(asked), list(host.failed_gpus)) == (1, ["GPU-a"])
    clock.advance(1)
    host.enter(workers)
    assert (host.failed_gpus, [source.key for source in host.sources]) == ({}, ["GPU-a"])
