"""Commands that look: now, forecast, window, sample."""

from __future__ import annotations

import math
from typing import Any

from carbon_aware_trainer.commands.asked import Asked
from carbon_aware_trainer.core.orchestrator import MultiRegionOrchestrator, Placement
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.providers.sample import SYNTHETIC, write_sample
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.traces import HOUR, Forecast

_BAR = 40


def now(asked: Asked) -> dict[str, Any]:
    """Return the intensity in force in every zone. Raises IntensityUnavailable when none is known."""
    monitor, found, lines = asked.monitor(), dict[str, Any](), list[str]()
    failed = None
    for zone in monitor.regions:
        try:
            intensity = monitor.get_current_intensity(zone)
        except IntensityUnavailable as err:
            failed, found[zone] = err, {"error": str(err)}
            lines.append(f"{zone}: {err}")
        else:
            found[zone] = _intensity(intensity)
            lines.append(f"{intensity}" + (f", since {intensity.at:%H:%M} UTC" if intensity.at else ""))
    if failed is not None and all("error" in each for each in found.values()):
        raise failed
    return {"zones": found, "lines": lines}


def forecast(asked: Asked) -> dict[str, Any]:
    """Return what is expected in the first zone."""
    found = asked.monitor().get_forecast(hours=asked.options.hours)
    highest = max(found.g_per_kwh.max(), 1.0)
    rows = _rows(found)
    lines = [f"{found.zone}, {found.provider}, {found.basis}: {found.method}"]
    for row in rows:
        interval = "" if row["low"] is None else f"  {row['low']:.0f}–{row['high']:.0f}"
        bar = "█" * round(_BAR * row["g_per_kwh"] / highest)
        lines.append(f"{row['time'][:16].replace('T', ' ')}  {row['g_per_kwh']:6.0f} g/kWh  {bar}{interval}")
    return {
        "zone": found.zone, "provider": found.provider, "basis": found.basis, "method": found.method,
        "forecast": rows, "lines": lines,
    }  # fmt: skip


def window(asked: Asked) -> dict[str, Any]:
    """Return where and when a job is cleanest."""
    monitor, options, at = asked.monitor(), asked.options, asked.clock.now()
    placement = MultiRegionOrchestrator(monitor.regions, monitor=monitor).optimize_placement(
        options.duration,
        at + options.within * HOUR,
        energy_kwh=options.energy_kwh,
        interruptible=options.interruptible,
        now=at,
    )
    plan = placement.plan
    return {
        "zone": placement.region,
        "windows": [
            {"start": each.start.isoformat(), "end": each.end.isoformat(), "g_per_kwh": each.g_per_kwh}
            for each in plan.windows
        ],
        "g_per_kwh": plan.g_per_kwh,
        "run_now_g_per_kwh": plan.run_now_g_per_kwh,
        "saving": plan.saving,
        "co2_g": placement.co2_g,
        "run_now_co2_g": placement.run_now_co2_g,
        "reason": placement.reason,
        "left_out": dict(placement.left_out),
        "lines": _window_lines(placement),
    }


def sample(asked: Asked) -> dict[str, Any]:
    """Write made-up data of the zones."""
    options, zones = asked.options, (asked.zone, *asked.zones[1:])
    path = write_sample(options.out, zones, days=options.days, now=asked.clock.now())
    return {"lines": [f"{path}: {options.days} days of {', '.join(zones)}. {SYNTHETIC}"]}


def _intensity(intensity: Intensity) -> dict[str, Any]:
    return {
        "g_per_kwh": intensity.g_per_kwh,
        "provider": intensity.provider,
        "basis": intensity.kind,
        "at": None if intensity.at is None else intensity.at.isoformat(),
        "is_estimated": intensity.is_estimated,
        "renewable_share": intensity.renewable_share,
        "source": intensity.source,
    }


def _rows(found: Forecast) -> list[dict[str, Any]]:
    values = zip(found.g_per_kwh, found.low, found.high, strict=True)
    return [
        {
            "time": (found.start + i * found.step).isoformat(),
            "g_per_kwh": float(value),
            "low": None if math.isnan(low) else float(low),
            "high": None if math.isnan(high) else float(high),
        }
        for i, (value, low, high) in enumerate(values)
    ]


def _window_lines(placement: Placement) -> list[str]:
    plan = placement.plan
    lines = [
        f"{placement.region}  {each.start:%Y-%m-%d %H:%M} to {each.end:%Y-%m-%d %H:%M} UTC  "
        f"{each.g_per_kwh:.0f} g/kWh"
        for each in plan.windows
    ]
    lines.append(
        f"{plan.g_per_kwh:.0f} g/kWh against {plan.run_now_g_per_kwh:.0f} for a start now: "
        f"{plan.saving:.0%} less."
    )
    if placement.co2_g is not None and placement.run_now_co2_g is not None:
        lines.append(f"{placement.co2_g:.3g} g expected, {placement.run_now_co2_g:.3g} g at once at home.")
    lines.append(placement.reason)
    return lines + [f"{region} is left out: {why}" for region, why in placement.left_out.items()]
