"""How busy the machine of a run was: CPU, memory, disk, network, GPUs; and what of it nobody measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import streamlit as st

from schema import MetricSummary, RunReply, Series, Status
from views import parts, source
from views.live_chart import live_charts
from views.run.system_charts import system_figure

PREFIX: Final = "system/"
_NAMES_PER_CALL: Final = 20
_MIB: Final = 1 / 1024


@dataclass(frozen=True)
class Panel:
    """One chart: what it shows, in which unit, and the names of its metrics without their prefix."""

    title: str
    unit: str
    pattern: re.Pattern[str]
    is_share: bool = False
    """Whether all of it is 100 %."""
    factor: float = 1
    """From the unit of the metric to that of the chart."""

    def choose(self, names: Sequence[str]) -> list[str]:
        """Return those of the metrics that belong here."""
        return [name for name in names if self.pattern.fullmatch(name.removeprefix(PREFIX))]


def _panel(title: str, unit: str, pattern: str, *, is_share: bool = False, factor: float = 1) -> Panel:
    return Panel(title, unit, re.compile(pattern), is_share, factor)


PANELS: Final = (
    _panel("CPU of the machine", "%", r"cpu_percent", is_share=True),
    _panel("CPU of the training", "% of one core", r"process_cpu_percent"),
    _panel("Memory of the machine", "%", r"memory_percent", is_share=True),
    _panel("Memory of the training", "GiB", r"process_memory_mib", factor=_MIB),
    _panel("Disk, used", "%", r"disk_percent", is_share=True),
    _panel("Disk traffic of the machine", "MiB/s", r"disk_(read|write)_mib_per_s"),
    _panel("Network traffic of the machine", "MiB/s", r"network_(sent|received)_mib_per_s"),
    _panel("GPU utilisation", "%", r"gpu\d+_percent", is_share=True),
    _panel("GPU memory", "GiB", r"gpu\d+_memory_mib", factor=_MIB),
    _panel("GPU temperature", "°C", r"gpu\d+_temperature_c"),
    _panel("GPU power", "W", r"gpu\d+_power_w"),
)


def show(run: RunReply) -> None:
    """Draw the charts of what was measured, and say what was not."""
    if run.simulated:
        st.caption("Nothing is measured beside a simulation: no machine trained it.")
        return
    found = source.fetch("system", lambda: source.list_system(run.run_id), of=run.run_id).value or []
    # A script may have any number of its own under that prefix.
    shown = {name for panel in PANELS for name in panel.choose([metric.name for metric in found])}
    known = [metric for metric in found if metric.name.startswith(PREFIX) and metric.name in shown]
    if not known:
        st.caption(why_nothing(run))
        return
    series = _read(run, known)
    figures = []
    for panel in PANELS:
        if own := {short_name(name): series[name] for name in panel.choose(list(series))}:
            figure = system_figure(
                *(run.run_id, panel.title, panel.unit, own),
                zone=parts.reader_zone(),
                is_share=panel.is_share,
                factor=panel.factor,
            )
            figures.append(str(figure.to_json()))
    live_charts(figures, key=f"system:{run.run_id}")
    for text in remarks(run, list(series)):
        st.caption(text)


def short_name(name: str) -> str:
    """Name a curve within its chart: gpu0, read, sent."""
    text = name.removeprefix(PREFIX)
    if gpu := re.match(r"gpu\d+", text):
        return gpu.group().upper().replace("GPU", "GPU ")
    for word in ("read", "write", "sent", "received"):
        if f"_{word}_" in text:
            return word
    return "training" if text.startswith("process_") else "machine"


def list_lacking(names: Sequence[str]) -> list[str]:
    """Return the titles of the charts that no metric belongs to; of a machine without GPUs one for all."""
    lacking = [panel.title for panel in PANELS if not panel.choose(names)]
    of_gpus = [title for title in lacking if title.startswith("GPU")]
    if len(of_gpus) == sum(panel.title.startswith("GPU") for panel in PANELS):
        lacking = [title for title in lacking if title not in of_gpus] + ["GPUs (none was found)"]
    return lacking


def why_nothing(run: RunReply) -> str:
    """Say why there is nothing to show."""
    if run.is_external:
        return "Its script reports no metrics of its machine; TrainingMonitor does, unless it is told not to."
    if run.status is Status.RUNNING:
        return "The first figures of its machine come 15 seconds after the start."
    if run.started_at is None:
        return "No worker has taken this run yet."
    return "It ran for less than 15 seconds, or on a worker of an earlier version: nothing was recorded."


def remarks(run: RunReply, names: Sequence[str]) -> list[str]:
    """Say what was read, by whom, and what was not measured."""
    if run.is_external:
        read = "Read by its script every few seconds, of all GPUs of the machine; times are the script's."
    else:
        read = (
            "Read by its worker every 5 seconds; over long runs each point is the mean of a longer time. The "
            "training counts with all its processes, and of several GPUs the first is read."
        )
    lacking = list_lacking(names)
    return [read, *([f"Not measured: {', '.join(lacking)}."] if lacking else [])]


def _read(run: RunReply, known: Sequence[MetricSummary]) -> Mapping[str, Series]:
    found: dict[str, Series] = {}
    for start in range(0, len(known), _NAMES_PER_CALL):
        part = known[start : start + _NAMES_PER_CALL]
        names = tuple(metric.name for metric in part)
        version = ",".join(f"{metric.count}:{metric.last_step}" for metric in part)
        ask = partial(source.read_metrics, run.run_id, names, version)
        found |= source.fetch(f"system:{start}", ask, of=(run.run_id, names)).value or {}
    return found
