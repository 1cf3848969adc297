"""The electricity of zones: now, expected, recorded; the cleanest time for work; what runs saved."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.access.callers import own_project
from api.body import reply
from api.state import db, intensities, planner
from carbon_aware_trainer.errors import CarbonError, NoFeasibleStart, UnknownZone
from carbon_aware_trainer.plans import Plan
from carbon_aware_trainer.providers.zones import canonical, find_zone, list_zones
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.strategies.windows import best_slots, best_window
from carbon_aware_trainer.traces import Forecast, Trace
from errors import FieldError, InvalidInput, NotFound
from scheduling.history import means_by_month_and_hour, share_below
from scheduling.intensities import FETCH_LIMIT_S, HISTORY, Outlook
from schema import (
    ForecastPoint,
    ForecastReply,
    HistoryReply,
    IntensityReply,
    KnownZone,
    PlannedWindow,
    Record,
    SavingsReply,
    WindowReply,
    Worker,
    ZoneReply,
    ZonesReply,
)
from schema.moment import Moment
from schema.values import Zone

carbon = APIBlueprint("carbon", __name__, tag="Carbon")

MAX_WEEKS = 106
MIN_DURATION_H = 1 / 60
WINDOW = timedelta(hours=96)


class ZoneQuery(Record):
    """Which zone."""

    zone: Zone | None = Field(None, description="such as DE or US-CA; without it, that of the installation")


class ForecastQuery(ZoneQuery):
    """Of which zone, and how far ahead."""

    hours: int = Field(48, ge=1, le=336, description="fewer where the forecast ends before")


class WindowQuery(ZoneQuery):
    """What is to run, and by when."""

    duration_h: float = Field(ge=MIN_DURATION_H, le=336, allow_inf_nan=False, description="a minute at least")
    deadline: Moment | None = Field(None, description="when it has to be done; else the end of the forecast")
    interruptible: bool = Field(False, description="it may run in several pieces")


class SavingsQuery(Record):
    """Of which weeks and whose."""

    weeks: int = Field(12, ge=1, le=MAX_WEEKS, description="up to this one")
    project: str | None = Field(None, max_length=64, description="without it, of all of them")


@carbon.get("/api/carbon/now")
@carbon.input(ZoneQuery, location="query", arg_name="query")
@carbon.output(IntensityReply)
def get_intensity(query: ZoneQuery) -> Response:
    """Answer the intensity of a zone now. 404 with the reason when none is known; 422 for an unknown zone."""
    zone, ends_at_s = _checked_zone(query.zone), time.monotonic() + FETCH_LIMIT_S
    try:
        found = intensities().get_provider().fetch_latest(zone)
    except CarbonError as error:
        left_s = max(0.0, ends_at_s - time.monotonic())
        return reply(_newest(_outlook(zone, limit_s=left_s), intensities().explain(error)))
    trace = intensities().find_trace(zone, db().now() - HISTORY, db().now())
    return reply(_show_intensity(found, trace))


@carbon.get("/api/carbon/forecast")
@carbon.input(ForecastQuery, location="query", arg_name="query")
@carbon.output(ForecastReply)
def get_forecast(query: ForecastQuery) -> Response:
    """Answer what is expected of a zone. 404 with the reason when nothing can be; 422 for an unknown zone."""
    forecast = _forecast(_checked_zone(query.zone))
    slots = -(-timedelta(hours=query.hours) // forecast.step)
    return reply(
        ForecastReply(
            zone=forecast.zone,
            provider=forecast.provider,
            basis=forecast.basis,
            made_at=forecast.made_at,
            step_s=forecast.step.total_seconds(),
            method=forecast.method,
            points=[
                ForecastPoint(
                    start=forecast.start + place * forecast.step,
                    g_per_kwh=float(forecast.g_per_kwh[place]),
                    low=_finite(forecast.low[place]),
                    high=_finite(forecast.high[place]),
                )
                for place in range(min(slots, len(forecast.g_per_kwh)))
            ],
        )
    )


@carbon.get("/api/carbon/window")
@carbon.input(WindowQuery, location="query", arg_name="query")
@carbon.output(WindowReply)
def get_window(query: WindowQuery) -> Response:
    """Answer the cleanest time for work of ``duration_h``.

    Without a deadline, within the next WINDOW, or the length of longer work: nobody waits a week unasked.
    422 when it does not fit before the deadline; 404 when no forecast is known, or it ends before the work
    could.
    """
    forecast = _forecast(_checked_zone(query.zone))
    search = best_slots if query.interruptible else best_window
    now, duration = db().now(), timedelta(hours=query.duration_h)
    deadline = query.deadline or min(forecast.end, now + max(WINDOW, duration))
    if query.deadline is None and now + duration > forecast.end:
        raise NotFound(
            f"The forecast of {forecast.zone} ends at {forecast.end:%Y-%m-%d %H:%M} UTC, before work of "
            f"{query.duration_h:g} h could. Ask for a shorter one."
        )
    try:
        plan = search(forecast, now=now, duration=duration, deadline=deadline)
    except NoFeasibleStart as error:
        raise InvalidInput(str(error), details=[FieldError("deadline", str(error))]) from error
    except CarbonError as error:
        raise NotFound(str(error)) from error
    return reply(_show_window(forecast, plan, query.duration_h))


@carbon.get("/api/carbon/history")
@carbon.input(ZoneQuery, location="query", arg_name="query")
@carbon.output(HistoryReply)
def get_history(query: ZoneQuery) -> Response:
    """Answer the mean intensity of a zone by month and hour (UTC). 404 when nothing is recorded."""
    zone = _checked_zone(query.zone)
    outlook = _outlook(zone)
    trace = outlook.trace
    if trace is None:
        raise _nothing(outlook)
    known = trace.g_per_kwh[np.isfinite(trace.g_per_kwh)]
    return reply(
        HistoryReply(
            zone=zone,
            provider=trace.provider,
            basis=trace.basis,
            start=trace.start,
            end=trace.end,
            step_s=trace.step.total_seconds(),
            values=len(known),
            mean_g_per_kwh=float(known.mean()),
            means=means_by_month_and_hour(trace),
        )
    )


@carbon.get("/api/carbon/savings")
@carbon.input(SavingsQuery, location="query", arg_name="query")
@carbon.output(SavingsReply)
def list_savings(query: SavingsQuery) -> Response:
    """Answer what runs that follow the grid saved against running at once, by the week (UTC) they ended in.

    Realised: their energy times the intensities that were recorded. Simulated runs count nowhere.
    """
    weeks = db().carbon.list_savings(db().now().date(), query.weeks, project=own_project(query.project))
    return reply(SavingsReply(weeks=weeks, saved_g=sum(week.saved_g for week in weeks)))


@carbon.get("/api/carbon/zones")
@carbon.output(ZonesReply)
def list_zones_in_use() -> Response:
    """Answer the zones of the installation and of live workers, as they are now, and all that are known."""
    home, workers = planner().home, db().workers.list_live()
    zones = list(dict.fromkeys([home, *(worker.zone for worker in workers if worker.zone)]))
    outlooks = intensities().outlooks(zones, db().now())
    name = intensities().name
    known = [KnownZone(zone=zone.code, name=zone.name) for zone in list_zones() if name in zone.at]
    return reply(ZonesReply(zones=[_show_zone(outlooks[zone], home, workers) for zone in zones], known=known))


def _checked_zone(zone: str | None) -> str:
    """Return the zone of a request. Raises InvalidInput, naming near ones, when the provider has it not."""
    wanted = zone or planner().home
    try:
        intensities().check_zone(wanted)
    except UnknownZone as error:
        raise InvalidInput(str(error), details=[FieldError("zone", str(error))]) from error
    except CarbonError as error:
        raise NotFound(
            f"Nothing is known of the electricity of {wanted}: {intensities().explain(error)}"
        ) from error
    return canonical(wanted)


def _outlook(zone: str, *, limit_s: float = FETCH_LIMIT_S) -> Outlook:
    return intensities().outlooks([zone], db().now(), limit_s=limit_s)[zone]


def _forecast(zone: str) -> Forecast:
    outlook = _outlook(zone)
    if outlook.forecast is None:
        raise _nothing(outlook)
    return outlook.forecast


def _nothing(outlook: Outlook) -> NotFound:
    why = (outlook.reason or "nothing is recorded").rstrip(".")
    return NotFound(f"Nothing is known of the electricity of {outlook.zone}: {why}.")


def _newest(outlook: Outlook, trouble: str) -> IntensityReply:
    """Show the newest recorded value, as long as it is not stale. Raises NotFound without one."""
    trace = outlook.trace
    if trace is None or outlook.forecast is None:
        raise NotFound(f"Nothing is known of the electricity of {outlook.zone}: {trouble.rstrip('.')}.")
    last = int(np.flatnonzero(np.isfinite(trace.g_per_kwh))[-1])
    value = float(trace.g_per_kwh[last])
    return IntensityReply(
        zone=outlook.zone,
        g_per_kwh=value,
        provider=trace.provider,
        basis=trace.basis,
        at=trace.start + last * trace.step,
        lower_share=share_below(trace, value),
    )


def _show_intensity(found: Intensity, trace: Trace | None) -> IntensityReply:
    is_same = trace is not None and (trace.provider, trace.basis) == (found.provider, found.kind)
    return IntensityReply(
        zone=found.zone,
        g_per_kwh=found.g_per_kwh,
        provider=found.provider,
        basis=found.kind,
        at=found.at,
        is_estimated=found.is_estimated,
        renewable_share=found.renewable_share,
        lower_share=share_below(trace, found.g_per_kwh) if trace is not None and is_same else None,
    )


def _show_window(forecast: Forecast, plan: Plan, duration_h: float) -> WindowReply:
    return WindowReply(
        zone=forecast.zone,
        provider=forecast.provider,
        basis=forecast.basis,
        duration_h=duration_h,
        start_at=plan.start,
        end_at=plan.end,
        windows=[PlannedWindow(start=w.start, end=w.end, g_per_kwh=w.g_per_kwh) for w in plan.windows],
        g_per_kwh=plan.g_per_kwh,
        run_now_g_per_kwh=plan.run_now_g_per_kwh,
        saving=plan.saving,
        horizon_end=forecast.end,
        method=forecast.method,
    )


def _show_zone(outlook: Outlook, home: str, workers: list[Worker]) -> ZoneReply:
    found, known = find_zone(outlook.zone), outlook.forecast
    return ZoneReply(
        zone=outlook.zone,
        name=found.name if found is not None else None,
        is_home=outlook.zone == home,
        workers=sum(worker.zone == outlook.zone for worker in workers),
        g_per_kwh=outlook.g_per_kwh,
        provider=known.provider if known is not None else None,
        basis=known.basis if known is not None else None,
        reason=outlook.reason if known is None else None,
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
