"""One worker's view of the energy of its machine: who samples, and what the worker itself used."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from carbon_aware_trainer.energy.bell import Ear
from carbon_aware_trainer.energy.choose import Choice, choose_meters, list_gpus
from carbon_aware_trainer.energy.codecarbon_process import CodeCarbonProcess
from carbon_aware_trainer.energy.gauges import GpuGauges
from carbon_aware_trainer.energy.host import HostSampler
from carbon_aware_trainer.energy.ledger import Ledger
from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.energy.nvml import find_uuid
from carbon_aware_trainer.energy.process_tree import open_processes
from carbon_aware_trainer.energy.rapl import POWERCAP
from carbon_aware_trainer.energy.roster import Registration, Roster, open_folder
from carbon_aware_trainer.energy.sample_log import LogReader
from carbon_aware_trainer.energy.sampler import INTERVAL_S, Election, Session
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import GpuFacts, Reading

log = logging.getLogger(__name__)

_JOIN_S = 1.0
# How often a worker that is not elected tries to be, and reads the log; a dead sampler is replaced within it.
_WATCH_S = 0.5
_RETRY_S = 1.0
_LOOK_NS = 10**9
_REGISTER_S = 0.25
_POWER_S = 2.0
# A counter's step may come that much late.
_GRACE_NS = 200_000_000
# Between two looks at the log where no bell answers.
_PAUSE_S = 0.02


def default_folder() -> Path:
    """Return the folder of this user on this machine; never one that other machines may see, too."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"wattle-energy-{user}"


@dataclass(frozen=True, slots=True)
class MeterOptions:
    """What is measured for one worker, and by what."""

    device: str = "cpu"
    choice: Choice = "auto"
    folder: Path = field(default_factory=default_folder)
    codecarbon: bool = False
    interval_s: float = INTERVAL_S
    powercap: Path = POWERCAP
    nvml: Any = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


class EnergyMonitor:
    """Registers a worker with its machine's sampler, or is that sampler, and reads what the worker used.

    A meter that fails or hangs never stops the caller: readings then say that the energy is unknown, and why.
    """

    def __init__(
        self, options: MeterOptions, *, root_pid: int | None = None, clock: Clock = time.monotonic_ns
    ) -> None:
        self._options = options
        self._pid = os.getpid() if root_pid is None else root_pid
        self._clock = clock
        # Workers that measure differently do not share a sampler.
        self._folder = options.folder / options.choice
        self._roster = Roster(self._folder)
        self._ledger = Ledger(self._pid)
        self._election = Election(self._folder)
        self._registration: Registration | None = None
        self._reader: LogReader | None = None
        self._ear: Ear | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._failure: str | None = None
        self._started_ns = clock()
        self._uuids: dict[int, str] = {}
        self._no_more_gpus = ""
        self._gpus: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._gauges = GpuGauges(nvml=options.nvml, clock=clock)
        self._looked_ns = 0
        self._thread = threading.Thread(target=self._work, name="energy", daemon=True)

    def start(self) -> None:
        """Register the worker and start; a folder that cannot be used makes readings unknown."""
        self._started_ns = self._clock()
        try:
            open_folder(self._options.folder)
            self._roster.open()
            self._find_all_gpus()
            self._choose_gpus(1)
            self._ear = Ear(self._folder, self._pid)
            self._reader = LogReader(self._folder)
            self._register(is_training=False)
        except OSError as error:
            self._fail(f"{self._folder} cannot be used: {error}. Set WATTLE_ENERGY_DIR.")
        except MeterUnavailable as error:
            self._fail(str(error))
        else:
            self._thread.start()

    def stop(self) -> None:
        """End the thread; one that hangs in its meter is left behind after a second, as a daemon."""
        self._stop.set()
        if self._ear is not None:
            self._ear.ring("sample")
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        self._roster.remove(self._pid)
        with self._lock:
            for opened in (self._ear, self._reader, self._gauges):
                if opened is not None:
                    opened.close()
            self._ear = self._reader = None

    def __enter__(self) -> EnergyMonitor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def describe(self, *, timeout_s: float = 2.0) -> str:
        """Say what is read for this worker, for a person, waiting for the sampler's first word."""
        self._wait(lambda: self._ledger.is_listed, timeout_s)
        with self._lock:
            mine = {*self._gpus.values()}
            texts = [
                source.text
                for source in self._ledger.sources
                if source.is_counted and (source.key in mine or not source.key.startswith("GPU-"))
            ]
        failed = [f"{name} unknown: {reason}" for name, reason in self._failed.items()]
        return " + ".join(texts + failed) or f"none: {self._failure or 'the energy sampler does not answer'}"

    def begin(self, *, gpus: int = 1) -> None:
        """Say that a run is trained from now on, on so many GPUs from the worker's own one on."""
        self._choose_gpus(gpus)
        self._register(is_training=True)

    def end(self) -> None:
        """Say that no run is trained any more."""
        self._choose_gpus(1)
        self._register(is_training=False)

    def reading(self, start_ns: int, end_ns: int, *, timeout_s: float = 1.0) -> Reading:
        """Return what the worker used between two moments of ``time.monotonic_ns()``; never raises.

        When the end is newer than the last sample, a fresh one is rung for, unless the sampler has been
        silent for ``timeout_s``.
        """
        span_s = (end_ns - start_ns) / 1e9
        if span_s <= 0:
            return Reading(0.0, reason="The span has no length.")
        if self._failure is not None:
            return Reading(span_s, reason=self._failure)
        if not self._wait(lambda: (self._ledger.newest_ns or 0) >= end_ns, timeout_s - self._silence_s()):
            return Reading(
                span_s, reason=self._failure or "The energy sampler of this machine does not answer."
            )
        if timeout_s > 0:
            self._await_step(end_ns)
        with self._lock:
            return self._ledger.reading(start_ns, end_ns, self._gpus, self._failed)

    def newest_ns(self) -> int | None:
        """Return up to which moment readings need not wait."""
        with self._lock:
            self._catch_up()
            return self._ledger.settled_ns(self._gpus.values())

    def idle_power_w(self, until_ns: int, *, gpus: int = 1) -> dict[str, float] | None:
        """Return the mean power of a run's sources in up to 10 s before; None if a worker trained then."""
        names, failed = self._name_gpus(gpus)
        if failed:
            return None
        with self._lock:
            self._catch_up()
            return self._ledger.idle_power_w(until_ns, names)

    def power_w(self) -> float | None:
        """Return the worker's mean power over the last two seconds; None when it is not known."""
        newest_ns = self.newest_ns()
        if newest_ns is None or self._silence_s() > _POWER_S:
            return None
        with self._lock:
            start_ns = newest_ns - round(_POWER_S * 1e9)
            return self._ledger.reading(start_ns, newest_ns, self._gpus, self._failed).power_w

    @property
    def gpu_facts(self) -> tuple[GpuFacts | None, ...]:
        """How the worker's own GPU stands, and then those that its run trains on, about once a second.

        None in the place of one that does not answer; empty without one, or when all are silent.
        """
        return self._gauges.facts

    def codecarbon_j(self, start_ns: int, end_ns: int) -> float:
        """Return CodeCarbon's own figure for the whole machine. Raises MeterUnavailable with the reason."""
        with self._lock:
            self._catch_up()
            return self._ledger.other_j(start_ns, end_ns)

    def _await_step(self, end_ns: int) -> None:
        """Wait until the counters have moved after a moment, about as long as their steps take.

        That is counted from the moment itself, so one who asks late does not wait, nor fall behind.
        """
        with self._lock:
            step_ns, patience_ns = self._ledger.longest_step(self._gpus.values())
        give_up_ns = end_ns + patience_ns + _GRACE_NS
        while (self.newest_ns() or 0) < end_ns and self._clock() < give_up_ns:
            if self._stop.wait(step_ns / 4e9):
                return
            asked_ns = self._clock()
            self._wait(lambda asked_ns=asked_ns: (self._ledger.newest_ns or 0) >= asked_ns, _REGISTER_S)

    def _silence_s(self) -> float:
        self.newest_ns()
        return (self._clock() - max(self._started_ns, self._ledger.newest_ns or 0)) / 1e9

    def _wait(self, is_there: Any, timeout_s: float) -> bool:
        """Ring until something is in the log, at least once; False when it does not come in time."""
        give_up_ns = self._clock() + round(max(0.0, timeout_s) * 1e9)
        while True:
            with self._lock:
                self._catch_up()
                if is_there():
                    return True
                ear, left_s = self._ear, (give_up_ns - self._clock()) / 1e9
            if ear is None or left_s <= 0 or self._failure is not None:
                return False
            is_heard = ear.ring("sample")
            ear.wait(left_s if is_heard else min(left_s, _PAUSE_S))

    def _catch_up(self) -> None:
        if self._reader is None:
            return
        try:
            for entry in self._reader.read():
                self._ledger.add(entry, now_ns=self._clock())
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._fail(f"The log of energy samples cannot be read: {error}.")

    def _register(self, *, is_training: bool) -> None:
        """Change the roster, and give the sampler a moment to see it: it divides GPUs by it."""
        if self._ear is None:
            return
        facts = open_processes(self._pid).find(self._pid)
        started = facts.started if facts else 0.0
        try:
            with self._lock:
                self._registration = Registration(self._pid, started, dict(self._gpus), is_training)
                self._roster.write(self._registration)
        except OSError as error:
            self._fail(f"{self._folder} cannot be written: {error}. Set WATTLE_ENERGY_DIR.")
        if self._thread.is_alive() and self._silence_s() < 2 * _WATCH_S and self._ear.ring("roster"):
            self._ear.wait(_REGISTER_S)

    def _find_all_gpus(self) -> None:
        """Ask the driver, once and at the start: one that hangs later must not hold a run up."""
        options = self._options
        try:
            (index,) = list_gpus(options.device) or (None,)
            while index is not None:
                self._uuids[index] = find_uuid(index, nvml=options.nvml, environ=options.environ)
                index += 1
        except MeterUnavailable as error:
            self._no_more_gpus = str(error)

    def _choose_gpus(self, count: int) -> None:
        """Take the worker's own GPU and those after it."""
        self._gpus, self._failed = self._name_gpus(count)

    def _name_gpus(self, count: int) -> tuple[dict[str, str], dict[str, str]]:
        """Return the UUIDs of so many GPUs from the worker's own one on, and why others have none."""
        try:
            indices = list_gpus(self._options.device, count)
        except MeterUnavailable as error:
            return {}, {self._options.device: str(error)}
        known = {f"gpu:{index}": self._uuids[index] for index in indices if index in self._uuids}
        return known, {f"gpu:{index}": self._no_more_gpus for index in indices if index not in self._uuids}

    def _fail(self, reason: str) -> None:
        if reason != self._failure:
            log.warning("energy unknown: %s", reason)
        self._failure = reason

    def _work(self) -> None:
        election = self._election
        while not self._stop.is_set():
            try:
                if election.try_to_win():
                    self._sample()
                self._look()
                self._stop.wait(_WATCH_S)
            except Exception as error:  # noqa: BLE001 - the sampler's outer edge: no meter may hurt a training
                self._fail(f"The energy sampler failed: {error or type(error).__name__}.")
                election.step_down()
                self._stop.wait(_RETRY_S)
        election.step_down()

    def _sample(self) -> None:
        """Be the sampler of this machine until this worker stops, or its lock is gone."""
        options, election = self._options, self._election
        wanted = options.codecarbon or options.choice == "codecarbon"
        # It is tried again every second: whatever fails must give back all that was opened before.
        with ExitStack() as opened:
            codecarbon = opened.enter_context(closing(CodeCarbonProcess())) if wanted else None
            host = opened.enter_context(closing(self._open_host(codecarbon)))
            session = opened.enter_context(
                Session(
                    self._folder,
                    host,
                    codecarbon=codecarbon,
                    interval_s=options.interval_s,
                    clock=self._clock,
                )
            )
            log.info("this worker samples the machine's energy pid=%d", self._pid)
            self._failure = None
            session.run(lambda: self._stop.is_set() or not election.is_won, self._look)

    def _open_host(self, codecarbon: CodeCarbonProcess | None) -> HostSampler:
        options = self._options
        forced = codecarbon if options.choice == "codecarbon" else None
        with ExitStack() as opened:
            meters = choose_meters(
                options.choice,
                powercap=options.powercap,
                nvml=options.nvml,
                codecarbon=forced,
                clock=self._clock,
            )
            for meter in meters.meters:
                opened.callback(meter.close)
            host = HostSampler(meters, open_processes(self._pid), clock=self._clock)
            opened.pop_all()  # from here on the host closes them
            return host

    def _keep_files(self) -> None:
        """Hold on to what others find this worker by: the folder may be one that the system cleans."""
        open_folder(self._options.folder)
        with self._lock:
            if self._registration is not None and not self._stop.is_set():
                self._roster.keep(self._registration)
        self._election.keep()

    def _look(self) -> None:
        """Read the gauges, and once in a while the log, so that it never runs far ahead."""
        if self._clock() - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = self._clock()
        self._keep_files()
        with self._lock:
            self._catch_up()
            if self._failure and self._silence_s() < 2 * _WATCH_S:
                self._failure = None  # another worker samples by now
        self._gauges.read(self._gpus)
