"""What three observers said about loads of one length, as figures and for a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.energy_ratios import Figure, Ratio, Spread, ours_over, scale, summarise, total_over_total
from bench.gpu_counter import GpuSpan


@dataclass(frozen=True)
class Window:
    """What was said about one load."""

    ours: Figure
    codecarbon: Figure
    zeus: Figure
    load_cpu_s: float
    machine_cpu_s: float
    gpu: GpuSpan | None = None
    gpu_reason: str | None = None

    @property
    def load_share(self) -> float:
        """The load's part of the CPU seconds that the machine worked; clocks of the two differ a little."""
        return min(1.0, self.load_cpu_s / self.machine_cpu_s)


def to_row(windows: Sequence[Window]) -> dict[str, Any]:
    """Return the figures of one window length."""
    codecarbon = summarise([ours_over(window.ours, window.codecarbon) for window in windows])
    zeus = summarise([ours_over(window.ours, window.zeus) for window in windows])
    by_cpu_time = summarise(
        [ours_over(window.ours, scale(window.codecarbon, "cpu", window.load_share)) for window in windows]
    )
    total = summarise([total_over_total(window.ours, window.codecarbon) for window in windows])
    share = summarise([Ratio(window.ours.core_share, window.ours.reason) for window in windows])
    row: dict[str, Any] = {"n": len(windows)}
    for name, spread in (
        ("ours_over_codecarbon", codecarbon),
        ("ours_over_codecarbon_by_cpu_time", by_cpu_time),
        ("ours_over_zeus", zeus),
        ("ours_total_over_codecarbon_total", total),
        ("sampler_core_share", share),
    ):
        row |= to_fields(name, spread)
    if any(window.gpu or window.gpu_reason for window in windows):
        spans = [w.gpu.power_over_counter if w.gpu else Ratio(reason=w.gpu_reason) for w in windows]
        row |= to_fields("gpu_power_over_counter", summarise(spans))
    return row


def to_fields(name: str, spread: Spread) -> dict[str, Any]:
    """Return a ratio under its name, and beside it its spread, or the reason why it is null."""
    if spread.median is None:
        return {name: None, f"{name}_reason": spread.reason}
    assert spread.lowest is not None
    assert spread.highest is not None
    return {
        name: round(spread.median, 4),
        f"{name}_range": [round(spread.lowest, 4), round(spread.highest, 4)],
    }


def show(seconds: int, window: Window) -> None:
    """Print what was said about one load."""
    print(f"{seconds:3} s load: {window.load_cpu_s:.2f} CPU s of the machine's {window.machine_cpu_s:.2f}")
    for name, figure in (("ours", window.ours), ("CodeCarbon", window.codecarbon), ("Zeus", window.zeus)):
        if figure.reason is not None or figure.span_s is None:
            print(f"      {name:11}unknown: {figure.reason}")
            continue
        parts = ", ".join(f"{part} {joules:.2f} J" for part, joules in sorted(figure.joules.items()))
        print(f"      {name:11}{parts}; its window {figure.span_s:.2f} s")
    if window.gpu is not None:
        gpu = window.gpu
        ratio = gpu.power_over_counter
        difference = ratio.reason if ratio.value is None else f"{100 * (ratio.value - 1):+.2f} %"
        joules = f"counter {gpu.counter_j:.1f} J, power integrated {gpu.power_j:.1f} J"
        print(f"      GPU {joules}: {difference}")
    elif window.gpu_reason:
        print(f"      GPU counter against power: unknown, {window.gpu_reason}")
    sys.stdout.flush()
