"""What a machine used, divided among its workers: nobody is charged for another, and never more than all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_aware_trainer.energy.host import HostSampler
from carbon_aware_trainer.energy.ledger import Ledger
from carbon_aware_trainer.energy.nvml import open_gpu
from carbon_aware_trainer.energy.roster import Registration
from carbon_aware_trainer.energy.sample_log import Header
from carbon_aware_trainer.energy.sharing import Observed, Sharing
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counters, Source
from tests.fake_hardware import FakeClock, FakeCpu, FakeGpu, FakeMeters, FakeNvml, FakeProcesses

A, B = 100, 200
UUIDS = ("GPU-0", "GPU-1")
S = 10**9
approx: Any = pytest.approx


def observed(
    at_s: float, cpu_j: float, busy_s: float, tree_s: dict[int, float], training: frozenset[int] = frozenset()
) -> Observed:
    joules = {"cpu": cpu_j, "GPU-0": 100 * at_s}
    return Observed(round(at_s * S), joules, {}, busy_s, tree_s, {"GPU-0": training})


def test_a_package_is_divided_by_cpu_time_and_what_others_used_belongs_to_nobody() -> None:
    sharing = Sharing()
    sharing.advance(observed(0, 0, 50, {A: 0, B: 0}))
    shares = sharing.advance(observed(10, 1000, 60, {A: 6, B: 2}))
    assert shares.host["cpu"] == approx(1000)
    assert (shares.own[A]["cpu"], shares.own[B]["cpu"]) == (approx(600), approx(200))


def test_workers_whose_clocks_are_ahead_of_the_machines_ticks_get_no_more_than_all() -> None:
    sharing = Sharing()
    sharing.advance(observed(0, 0, 50, {A: 0, B: 0}))
    shares = sharing.advance(observed(0.1, 10, 50.01, {A: 0.03, B: 0.01}))
    assert (shares.own[A]["cpu"], shares.own[B]["cpu"]) == (approx(7.5), approx(2.5))


def test_a_gpu_is_divided_equally_among_those_that_train_on_it() -> None:
    sharing = Sharing()
    for at_s, training in ((0, {A}), (1, {A}), (2, {A, B}), (3, {B}), (4, set())):
        shares = sharing.advance(observed(at_s, 0, at_s, {A: 0, B: 0}, frozenset(training)))
    assert (shares.own[A]["GPU-0"], shares.own[B]["GPU-0"]) == (approx(150), approx(150))
    assert shares.host["GPU-0"] == approx(400)


def test_estimated_cpu_energy_is_cpu_time_times_the_power_of_a_thread() -> None:
    sharing = Sharing(w_per_thread=4)
    sharing.advance(Observed(0, {}, {}, 50, {A: 1, B: 0}, {}))
    shares = sharing.advance(Observed(10 * S, {}, {}, 60, {A: 7, B: 2}, {}))
    assert (shares.own[A]["cpu"], shares.own[B]["cpu"]) == (approx(24), approx(8))
    assert shares.host["cpu"] == approx(40)


def test_a_counters_step_is_divided_by_the_cpu_time_of_all_the_time_it_took() -> None:
    sharing = Sharing()
    for tenth in range(41):  # in each 2 s, A works through the first second and B through the other
        at_s = tenth / 10
        a_s = at_s // 2 + min(1.0, at_s % 2)
        joules = {"cpu": 100.0 * (tenth // 20)}
        shares = sharing.advance(
            Observed(round(at_s * S), joules, {}, at_s, {A: a_s, B: at_s - a_s}, {}, {"cpu": 2.0})
        )
    assert (shares.own[A]["cpu"], shares.own[B]["cpu"]) == (approx(100), approx(100))


def test_what_was_lost_belongs_to_nobody() -> None:
    sharing = Sharing()
    sharing.advance(observed(0, 0, 0, {A: 0}))
    shares = sharing.advance(Observed(S, {"cpu": 10.0}, {"cpu": "reset"}, 1, {A: 1}, {}))
    assert (shares.host["cpu"], shares.own[A]["cpu"]) == (0, 0)


class FakePackage:
    """A meter of the CPU whose joules and losses the test sets."""

    sources = (Source("cpu", "measured", "a fake", "none", 0.001),)

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.joules = 0.0
        self.lost: str | None = None

    def read(self) -> Counters:
        lost, self.lost = self.lost, None
        return Counters(self._clock(), {"cpu": self.joules}, {"cpu": lost} if lost else {})

    def close(self) -> None:
        pass


@dataclass
class Machine:
    """Two workers on a machine of two GPUs: real samplers and ledgers over fake counters."""

    is_estimated: bool = False
    clock: FakeClock = field(default_factory=FakeClock)
    cpu: FakeCpu = field(default_factory=FakeCpu)
    gpus: tuple[FakeGpu, ...] = field(default_factory=lambda: tuple(map(FakeGpu, UUIDS)))
    sessions: int = 0

    def __post_init__(self) -> None:
        self.table: dict[int, list[float]] = {A: [1.0, 1, 0, 0], B: [1.0, 2, 0, 0]}
        self.package = FakePackage(self.clock)
        self.ledgers = {A: Ledger(A), B: Ledger(B)}
        self.on: dict[int, tuple[int, ...]] = {A: (), B: ()}
        self.used_s = 0.0
        self.begin_session()

    def begin_session(self) -> None:
        """Have another sampler take over."""
        nvml = FakeNvml(*self.gpus)
        source = Source("cpu", "estimated", "a fake", "none", 0.001)
        meters = FakeMeters(
            () if self.is_estimated else (self.package,),
            (source, 4.0) if self.is_estimated else None,
            lambda uuid: open_gpu(uuid, key=uuid, nvml=nvml, clock=self.clock),
        )
        self.host = HostSampler(meters, FakeProcesses(self.table), cpu=self.cpu, clock=self.clock)
        self.sessions += 1
        self.enter()

    def enter(self) -> None:
        workers = [
            Registration(pid, gpus={f"gpu:{index}": UUIDS[index] for index in gpus}, is_training=bool(gpus))
            for pid, gpus in self.on.items()
        ]
        self.host.enter(workers)
        header = Header(f"{self.sessions}", 1, 1, self.host.sources, dict(self.host.failed_gpus))
        for ledger in self.ledgers.values():
            ledger.add(header, now_ns=self.clock())
        self.sample()

    def sample(self) -> None:
        sample = self.host.sample()
        for ledger in self.ledgers.values():
            ledger.add(sample, now_ns=self.clock())

    def work(self, seconds: float, gpu_w: float, cpu_w: float, a: float, b: float, others: float) -> None:
        """Let time pass: shares of it that the workers and others keep a thread busy."""
        self.clock.advance(seconds)
        self.package.joules += cpu_w * seconds
        for gpu in self.gpus:
            gpu.energy_mj = (gpu.energy_mj or 0) + round(gpu_w * seconds * 1000)
        self.table[A][2] += a * seconds
        self.table[B][2] += b * seconds
        self.used_s += (a + b + others) * seconds
        self.cpu.used_s = int(self.used_s * 100) / 100  # in ticks
        self.sample()


fractions = st.floats(0, 1)
actions = st.one_of(
    st.tuples(
        *(st.just("work"), st.floats(0.002, 0.5), st.floats(0, 700), st.floats(0, 300)),
        *(fractions, fractions, fractions),
    ),
    st.tuples(st.just("train"), st.sampled_from([A, B]), st.sampled_from([(), (0,), (1,), (0, 1)])),
    st.tuples(st.just("lose"), st.sampled_from(["gpu 0", "gpu 1", "cpu"])),
    st.just(("take over",)),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    is_estimated=st.booleans(),
    steps=st.lists(actions, min_size=3, max_size=40),
    cuts=st.tuples(fractions, fractions),
)
def test_all_runs_together_never_use_more_than_the_devices_gave(
    is_estimated: bool, steps: list[tuple[object, ...]], cuts: tuple[float, float]
) -> None:
    machine = Machine(is_estimated)
    begin_ns = machine.clock()
    given_j = dict.fromkeys(UUIDS, 0.0)
    for action, *details in steps:
        if action == "work":
            seconds, gpu_w = float(str(details[0])), float(str(details[1]))
            machine.work(*(float(str(detail)) for detail in details))
            given_j = {uuid: joules + gpu_w * seconds for uuid, joules in given_j.items()}
        elif action == "train":
            machine.on[int(str(details[0]))] = details[1]  # type: ignore[assignment]
            machine.enter()
        elif action == "lose" and details[0] == "cpu":
            machine.package.lost = "reset"
        elif action == "lose":
            machine.gpus[int(str(details[0])[-1])].energy_mj = 0
        else:
            machine.begin_session()
    check_spans(machine, begin_ns, given_j, sorted(cuts))


def check_spans(machine: Machine, begin_ns: int, given_j: dict[str, float], cuts: list[float]) -> None:
    length_ns = machine.clock() - begin_ns
    start_ns, end_ns = (begin_ns + round(cut * length_ns) for cut in cuts)
    gpus = {f"gpu:{index}": uuid for index, uuid in enumerate(UUIDS)}
    readings = [ledger.reading(start_ns, end_ns, gpus, {}) for ledger in machine.ledgers.values()]
    for name in ("cpu", *gpus):
        parts = [reading.sources[name] for reading in readings if name in reading.sources]
        known = [part.energy_j for part in parts if part.energy_j is not None]
        assert all(joules >= 0 for joules in known)
        try:
            column = machine.ledgers[A]._host[gpus.get(name, name)].history
            whole_j = column.between(start_ns, end_ns).joules
        except (KeyError, MeterUnavailable):
            assert not known, "what the machine does not know, no worker can"
            continue
        assert sum(known) <= whole_j + 1e-6
        assert sum(part.share or 0 for part in parts) <= 1 + 1e-6
        if name in gpus:
            # the machine's own column is no more than what the device gave; counters are whole millijoules
            assert whole_j <= given_j[gpus[name]] + 0.05
