"""Everything of this machine that a sample needs: its meters, its CPUs, and the workers on its roster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from carbon_aware_trainer.energy.host_cpu import HostCpu, open_host_cpu
from carbon_aware_trainer.energy.meter import Clock, Meter
from carbon_aware_trainer.energy.process_tree import ProcessTable, ProcessTree
from carbon_aware_trainer.energy.roster import Registration
from carbon_aware_trainer.energy.sharing import Observed, Sharing
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Source

log = logging.getLogger(__name__)

# A driver that was updated or restarted comes back; asking it more often would only cost.
_GPU_RETRY_NS = 60 * 10**9

OpenGpu = Callable[[str], Meter]


class HostMeters(Protocol):
    """What reads the CPUs of this machine, and how its GPUs are opened."""

    @property
    def meters(self) -> Sequence[Meter]:
        """The meters that are read for every worker."""

    @property
    def estimate(self) -> tuple[Source, float] | None:
        """Where the CPU's energy is estimated: its source and the power of a busy thread."""

    @property
    def open_gpu(self) -> OpenGpu:
        """Opens the meter of a UUID; its source has the UUID for a key. Raises MeterUnavailable."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the workers of a machine have used up to one moment."""

    at_ns: int
    host: Mapping[str, float]  # cumulative joules by source
    own: Mapping[int, Mapping[str, float]]  # the same of each worker
    training: int  # how many workers trained since the sample before
    lost: Mapping[str, str] = field(default_factory=dict)  # why a source is not known since then
    lost_of: Mapping[int, str] = field(default_factory=dict)  # why a worker's part is not


class HostSampler:
    """Reads the machine and divides what it used among the workers of the roster. Not safe for threads."""

    def __init__(
        self,
        meters: HostMeters,
        processes: ProcessTable,
        *,
        cpu: HostCpu | None = None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self._meters = meters
        self._processes = processes
        self._cpu = cpu or open_host_cpu()
        self._clock = clock
        self._sharing = Sharing(meters.estimate[1] if meters.estimate else None)
        self._workers: dict[int, Registration] = {}
        self._trees: dict[int, ProcessTree] = {}
        self._gpus: dict[str, Meter] = {}
        self._tried_ns: dict[str, int] = {}
        self.failed_gpus: dict[str, str] = {}
        """Why a GPU on the roster has no meter, by UUID."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is read now; a GPU's key is its UUID."""
        meters = [*self._meters.meters, *self._gpus.values()]
        estimated = [self._meters.estimate[0]] if self._meters.estimate else []
        return (*estimated, *(source for meter in meters for source in meter.sources))

    def enter(self, workers: Sequence[Registration]) -> list[int]:
        """Take over a new roster and return the pids of workers whose process is gone."""
        present = {worker.pid: worker for worker in workers}
        known = {pid: worker.started for pid, worker in self._workers.items()}
        gone = [pid for pid, worker in present.items() if not self._is_alive(worker)]
        self._workers = {pid: worker for pid, worker in present.items() if pid not in gone}
        others = {
            pid for pid, worker in self._workers.items() if worker.started != known.get(pid, worker.started)
        }
        for pid in self._trees.keys() - (self._workers.keys() - others):
            del self._trees[pid]
            self._sharing.forget(pid)
        for pid in self._workers.keys() - self._trees.keys():
            self._open_tree(pid)
        for uuid in {uuid for worker in self._workers.values() for uuid in worker.gpus.values()}:
            tried_ns = self._tried_ns.get(uuid)
            if uuid not in self._gpus and (tried_ns is None or self._clock() - tried_ns >= _GPU_RETRY_NS):
                self._open_gpu(uuid)
        return gone

    def sample(self) -> Sample:
        """Read everything once."""
        joules: dict[str, float] = {}
        lost: dict[str, str] = {}
        for meter in (*self._meters.meters, *self._gpus.values()):
            counters = meter.read()
            joules |= counters.joules
            lost |= counters.lost
        tree_s, lost_of = self._read_trees()
        trained = {uuid: self._training_on(uuid) for uuid in self._gpus}
        step_s = {source.key: source.step_s for source in self.sources}
        seen = Observed(self._clock(), joules, lost, self._cpu.busy_s(), tree_s, trained, step_s)
        shares = self._sharing.advance(seen)
        training = sum(worker.is_training for worker in self._workers.values())
        return Sample(seen.at_ns, shares.host, shares.own, training, lost, lost_of)

    def close(self) -> None:
        """Close every meter."""
        with ExitStack() as opened:  # one that fails keeps no other open
            opened.callback(self._cpu.close)
            for meter in (*self._meters.meters, *self._gpus.values()):
                opened.callback(meter.close)

    def _is_alive(self, worker: Registration) -> bool:
        facts = self._processes.find(worker.pid)
        return facts is not None and worker.started in (0.0, facts.started)

    def _open_tree(self, pid: int) -> None:
        try:
            self._trees[pid] = ProcessTree(pid, self._processes, clock=self._clock)
        except MeterUnavailable as error:
            log.warning("a worker's CPU time is unknown pid=%d: %s", pid, error)

    def _open_gpu(self, uuid: str) -> None:
        self._tried_ns[uuid] = self._clock()
        try:
            self._gpus[uuid] = self._meters.open_gpu(uuid)
            self.failed_gpus.pop(uuid, None)
        except MeterUnavailable as error:
            log.warning("the energy of a GPU is unknown gpu=%s: %s", uuid, error)
            self.failed_gpus[uuid] = str(error)

    def _read_trees(self) -> tuple[dict[int, float], dict[int, str]]:
        tree_s: dict[int, float] = {}
        lost_of: dict[int, str] = {}
        for pid in self._workers:
            try:
                if pid not in self._trees:
                    raise MeterUnavailable(f"The CPU time of process {pid} cannot be read.")
                tree_s[pid] = self._trees[pid].cpu_s()
            except MeterUnavailable as error:
                lost_of[pid] = str(error)
        return tree_s, lost_of

    def _training_on(self, uuid: str) -> frozenset[int]:
        workers = self._workers.values()
        return frozenset(one.pid for one in workers if one.is_training and uuid in one.gpus.values())
