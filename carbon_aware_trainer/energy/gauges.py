"""How the GPUs of a worker stand, read once in a while."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.energy.nvml import GpuPanel
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import GpuFacts

log = logging.getLogger(__name__)

# A driver that hangs must not leave its last words standing as if they were news.
_KEPT_NS: Final = 5 * 10**9


class GpuGauges:
    """Opens each GPU once, and keeps what it said last."""

    def __init__(self, *, nvml: Any, clock: Clock) -> None:
        self._nvml, self._clock = nvml, clock
        self._panels: dict[str, GpuPanel] = {}
        self._facts: tuple[GpuFacts | None, ...] = ()
        self._read_ns = 0

    def read(self, gpus: Mapping[str, str]) -> None:
        """Read the gauges of some GPUs, UUIDs by name as ``gpu:0``."""
        facts: list[GpuFacts | None] = []
        for name, uuid in gpus.items():
            try:
                facts.append(replace(self._open(uuid).read(), index=int(name.removeprefix("gpu:"))))
            except MeterUnavailable as error:
                log.debug("no gauges of the GPU: %s", error)
                facts.append(None)
        if any(facts):
            self._facts, self._read_ns = tuple(facts), self._clock()

    @property
    def facts(self) -> tuple[GpuFacts | None, ...]:
        """What they said last, in their places, None for who did not answer; empty when that is long ago."""
        return () if self._clock() - self._read_ns > _KEPT_NS else self._facts

    def close(self) -> None:
        """Close all GPUs."""
        for panel in self._panels.values():
            panel.close()
        self._panels.clear()

    def _open(self, uuid: str) -> GpuPanel:
        if uuid not in self._panels:
            self._panels[uuid] = GpuPanel(uuid, nvml=self._nvml)
        return self._panels[uuid]
