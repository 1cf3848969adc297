"""The meter of one process tree alone, for programs that share this machine's sampler with nobody."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from carbon_aware_trainer.energy.choose import OWN, Choice, choose_meters, list_gpus
from carbon_aware_trainer.energy.codecarbon_process import is_installed
from carbon_aware_trainer.energy.foreign import list_foreign_meters
from carbon_aware_trainer.energy.host import HostSampler
from carbon_aware_trainer.energy.memory import RAM, ram_source, read_ram_constant_w
from carbon_aware_trainer.energy.meter import Clock, Meter
from carbon_aware_trainer.energy.nvml import find_uuid
from carbon_aware_trainer.energy.process_tree import open_processes
from carbon_aware_trainer.energy.rapl import POWERCAP
from carbon_aware_trainer.energy.roster import Registration
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counters, Source


class OwnMeter:
    """A process tree's part of this machine, as if it always trained; memory's constant apart as ``ram``."""

    def __init__(
        self,
        host: HostSampler,
        pid: int,
        gpus: Mapping[str, str],
        *,
        ram_w: float,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        """Raises MeterUnavailable when there is no such process or no meter of a GPU."""
        self._host, self._pid, self._ram_w = host, pid, ram_w
        self._names = {uuid: name for name, uuid in gpus.items()}
        self._clock = clock
        if host.enter([Registration(pid, gpus=gpus, is_training=True)]):
            raise MeterUnavailable(f"There is no process {pid} whose energy could be read.")
        for reason in host.failed_gpus.values():
            raise MeterUnavailable(reason)
        self._opened_ns = host.sample().at_ns
        named = (replace(source, key=self._names.get(source.key, source.key)) for source in host.sources)
        self.sources: tuple[Source, ...] = (*named, ram_source(ram_w))

    def read(self) -> Counters:
        """Read the machine and return this tree's part of it."""
        sample = self._host.sample()
        own = sample.own.get(self._pid, {})
        joules = {name: own.get(key, 0.0) for key, name in self._keys().items()}
        joules[RAM] = self._ram_w * (sample.at_ns - self._opened_ns) / 1e9
        mine = sample.lost_of.get(self._pid)
        lost = {
            name: reason for key, name in self._keys().items() if (reason := sample.lost.get(key) or mine)
        }
        return Counters(sample.at_ns, joules, lost)

    def close(self) -> None:
        """Give the hardware back."""
        self._host.close()

    def _keys(self) -> dict[str, str]:
        return {source.key: self._names.get(source.key, source.key) for source in self._host.sources}


def choose_meter(
    device: str,
    *,
    root_pid: int,
    choice: Choice = "auto",
    powercap: Path = POWERCAP,
    nvml: Any = None,
    clock: Clock = time.monotonic_ns,
) -> Meter:
    """Return the meter for training on ``device`` in the process tree under ``root_pid``.

    Raises MeterUnavailable where a part cannot be read: a GPU run without its GPU would be far too small.
    """
    gpus = {f"gpu:{index}": find_uuid(index, nvml=nvml) for index in list_gpus(device)}
    meters = choose_meters(choice, powercap=powercap, nvml=nvml, clock=clock)
    host = HostSampler(meters, open_processes(root_pid), clock=clock)
    return OwnMeter(host, root_pid, gpus, ram_w=read_ram_constant_w(), clock=clock)


def check_meters(choice: Choice, device: str, *, powercap: Path = POWERCAP, nvml: Any = None) -> None:
    """Raise MeterUnavailable, naming setting and remedy, when a meter that is forced cannot work here."""
    try:
        if choice == "nvml" and not (indices := list_gpus(device)):
            raise MeterUnavailable("This worker trains on the CPU.")
        if choice == "nvml":
            for index in indices:
                find_uuid(index, nvml=nvml)
        elif choice == "rapl":
            choose_meters(choice, powercap=powercap)
        elif choice not in OWN and choice not in list_foreign_meters():
            known = ", ".join([*OWN, *list_foreign_meters()])
            raise MeterUnavailable(f"There is no such meter; there are {known}.")
        elif choice == "codecarbon" and not is_installed():
            raise MeterUnavailable("CodeCarbon is not installed. Run: pip install codecarbon")
    except MeterUnavailable as error:
        raise MeterUnavailable(
            f"WATTLE_METER={choice} cannot be used: {error} Or set WATTLE_METER=auto."
        ) from error
