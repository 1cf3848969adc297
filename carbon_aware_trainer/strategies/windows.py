"""The cleanest time to run in, in one piece or in several, in one zone or the best of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.errors import BasesMixed, IntensityUnavailable, NoFeasibleStart
from carbon_aware_trainer.plans import Plan, Window
from carbon_aware_trainer.traces import HOUR, Forecast

Floats = npt.NDArray[np.float64]
Search = Callable[..., Plan]
# Sums of floats about the same hours differ in their last digits; what differs by less is a tie.
_TIE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The slots of a forecast from now until a deadline, the first and the last of them cut there."""

    start: tuple[datetime, ...]
    end: tuple[datetime, ...]
    hours: Floats
    g_per_kwh: Floats


def best_window(forecast: Forecast | None, *, now: datetime, duration: timedelta, deadline: datetime) -> Plan:
    """Return the cleanest single window that ends by the deadline and within the forecast.

    It starts now, with a slot, or so that it ends with one: one of these is always the cleanest.
    Ties go to the earliest start. Source: Wiesner et al. 2021, "Let's Wait Awhile".
    Raises NoFeasibleStart when the work does not fit before the deadline, IntensityUnavailable when the
    forecast is missing or ends before the work could.
    """
    slots = _checked(forecast, now=now, duration=duration, deadline=deadline)
    edges = _edges(slots, now)
    total = np.concatenate([[0.0], np.cumsum(slots.hours * slots.g_per_kwh)])
    work_h = duration / HOUR
    begins = np.unique(np.clip(np.concatenate([edges, edges - work_h]), 0.0, edges[-1] - work_h))
    mean = (np.interp(begins + work_h, edges, total) - np.interp(begins, edges, total)) / work_h
    best = int(np.argmax(mean <= mean.min() + _TIE * abs(mean.min())))
    start = now + timedelta(hours=float(begins[best]))
    window = Window(start, start + duration, float(mean[best]))
    return _plan((window,), float(mean[best]), float(mean[0]))


def best_slots(forecast: Forecast | None, *, now: datetime, duration: timedelta, deadline: datetime) -> Plan:
    """Return the cleanest slots that hold the work, joined where they touch. Ties go to the earliest.

    Raises NoFeasibleStart and IntensityUnavailable as best_window does.
    """
    slots = _checked(forecast, now=now, duration=duration, deadline=deadline)
    work_h = duration / HOUR
    order = np.argsort(slots.g_per_kwh, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(slots.hours[order])[:-1]])
    taken = np.zeros(len(order))
    taken[order] = np.clip(work_h - before, 0.0, slots.hours[order])
    grams = float(taken @ slots.g_per_kwh) / work_h
    run_now = float(
        np.clip(work_h - (np.cumsum(slots.hours) - slots.hours), 0.0, slots.hours) @ slots.g_per_kwh
    )
    return _plan(_joined(slots, taken), grams, run_now / work_h)


def best_zone(
    forecasts: Mapping[str, Forecast],
    *,
    now: datetime,
    duration: timedelta,
    deadline: datetime,
    is_interruptible: bool = False,
) -> tuple[str, Plan]:
    """Return the zone with the cleanest plan, and the plan; ties go to the first.

    Raises BasesMixed when the forecasts are of several providers or bases, which cannot be compared, and
    IntensityUnavailable without any forecast.
    """
    kinds = sorted({f"{forecast.basis} by {forecast.provider}" for forecast in forecasts.values()})
    if len(kinds) > 1:
        raise BasesMixed(
            f"Zones cannot be compared on {' and '.join(kinds)}. Ask one provider about all of them."
        )
    if not forecasts:
        raise IntensityUnavailable("There is no forecast of any zone.")
    search = best_slots if is_interruptible else best_window
    plans = {
        zone: search(forecast, now=now, duration=duration, deadline=deadline)
        for zone, forecast in forecasts.items()
    }
    zone = min(plans, key=lambda name: plans[name].g_per_kwh)
    return zone, plans[zone]


def slots_until(forecast: Forecast, *, now: datetime, deadline: datetime) -> Slots:
    """Return the slots between two moments, of which the forecast holds the first."""
    first = int((now - forecast.start) // forecast.step)
    end = min(deadline, forecast.end)
    count = max(first, -int((forecast.start - end) // forecast.step))
    starts = tuple(max(now, forecast.start + i * forecast.step) for i in range(first, count))
    ends = tuple(min(end, forecast.start + (i + 1) * forecast.step) for i in range(first, count))
    hours = np.array([(until - since) / HOUR for since, until in zip(starts, ends, strict=True)])
    return Slots(starts, ends, hours, np.asarray(forecast.g_per_kwh[first:count], dtype=np.float64))


def price_of(slots: Slots, work_h: float) -> float:
    """Return the intensity at or below which the slots hold ``work_h`` hours."""
    order = np.argsort(slots.g_per_kwh, kind="stable")
    held = np.cumsum(slots.hours[order]) >= work_h - _TIE
    return float(slots.g_per_kwh[order[int(np.argmax(held)) if held.any() else -1]])


def trouble_of(forecast: Forecast | None, *, now: datetime, duration: timedelta) -> str | None:
    """Say in a sentence why a forecast cannot plan work that may start now; None when it can."""
    if forecast is None:
        return "No forecast is known."
    if now < forecast.start:
        return f"The forecast begins at {forecast.start:%Y-%m-%d %H:%M} UTC only."
    if now + duration > forecast.end:
        return f"The forecast ends at {forecast.end:%Y-%m-%d %H:%M} UTC, before the work could."
    first = int((now - forecast.start) // forecast.step)
    if not np.isfinite(forecast.g_per_kwh[first:]).all():
        return "The forecast has holes."
    return None


def _checked(forecast: Forecast | None, *, now: datetime, duration: timedelta, deadline: datetime) -> Slots:
    if duration <= timedelta():
        raise NoFeasibleStart("There is no work to place: its duration is not above zero.")
    if now + duration > deadline:
        hours = duration / HOUR
        raise NoFeasibleStart(
            f"{hours:.1f} h of work do not fit between now and {deadline:%Y-%m-%d %H:%M} UTC. "
            "Set a later deadline."
        )
    trouble = trouble_of(forecast, now=now, duration=duration)
    if forecast is None or trouble is not None:
        raise IntensityUnavailable(f"{trouble} Fetch a new one, or run now.")
    return slots_until(forecast, now=now, deadline=deadline)


def _edges(slots: Slots, now: datetime) -> Floats:
    return np.array([0.0, *((end - now) / HOUR for end in slots.end)])


def _joined(slots: Slots, taken: Floats) -> tuple[Window, ...]:
    """Join the taken parts of slots; of a slot that is needed in part, it is the part beside a taken one."""
    windows: list[Window] = []
    least_h = min(_TIE, float(taken.max()) / 2)  # of the shortest work, too, something is left
    for i in np.flatnonzero(taken > least_h):
        length = timedelta(hours=float(taken[i]))
        is_last_before_next = i + 1 < len(taken) and taken[i + 1] > least_h
        touches = bool(windows) and windows[-1].end == slots.start[i]
        start = slots.end[i] - length if is_last_before_next and not touches else slots.start[i]
        window = Window(start, start + length, float(slots.g_per_kwh[i]))
        windows[-1:] = [_join(windows[-1], window)] if touches else [*windows[-1:], window]
    return tuple(windows)


def _join(first: Window, second: Window) -> Window:
    lengths = (first.end - first.start, second.end - second.start)
    mean = (first.g_per_kwh * lengths[0].total_seconds() + second.g_per_kwh * lengths[1].total_seconds()) / (
        lengths[0] + lengths[1]
    ).total_seconds()
    return Window(first.start, second.end, mean)


def _plan(windows: tuple[Window, ...], g_per_kwh: float, run_now: float) -> Plan:
    if run_now - g_per_kwh <= _TIE * abs(run_now):
        reason = "Nothing cleaner is forecast than to start now."
    else:
        reason = (
            f"{g_per_kwh:.0f} g/kWh are forecast from {windows[0].start:%Y-%m-%d %H:%M} UTC on, "
            f"{run_now:.0f} g/kWh for a start now."
        )
    return Plan(windows, g_per_kwh, run_now, reason)
