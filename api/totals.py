"""What runs add up to, and their CO₂ computed again when a provider revises its figures."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, model_validator

from api.body import reply
from api.power import list_power
from api.runs import get_whole_run
from api.state import db, intensities, planner
from carbon_aware_trainer.equivalents import equivalents_of
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.providers.static import country_intensity
from carbon_aware_trainer.providers.zones import code_at, find_zone
from carbon_aware_trainer.records import IntensitySeries, Interval
from errors import Conflict, FieldError, InvalidInput
from scheduling.in_force import CHARGED_BASIS
from scheduling.intensities import ONE_FIGURE
from scheduling.parts import Used
from scheduling.recomputing import ByAttempt, is_whole, recompute, series_of_attempts, source_of
from schema import Co2Source, Equivalent, RecomputeReply, RecomputeRequest, Record, Run, Total, TotalsReply

totals = APIBlueprint("totals", __name__, tag="Totals")

MAX_DAYS = 366
_PARTS = ("zone", "provider", "basis", "values")


class TotalsQuery(Record):
    """Which totals to answer."""

    by: Literal["day", "project"] = "day"
    days: int = Field(30, ge=1, le=MAX_DAYS, description="how many, up to today (UTC); projects have no days")


class RecomputeBody(RecomputeRequest):
    """{} for what is known now of the run's own zone, or zone, provider, basis and values."""

    @model_validator(mode="before")
    @classmethod
    def _all_or_nothing(cls, value: Any) -> Any:
        given = {part for part in _PARTS if isinstance(value, dict) and value.get(part)}
        if given and len(given) < len(_PARTS):
            missing = ", ".join(part for part in _PARTS if part not in given)
            raise ValueError(f"{missing} missing: send zone, provider, basis and values, or {{}}")
        return value


@totals.get("/api/totals")
@totals.input(TotalsQuery, location="query", arg_name="query")
@totals.output(TotalsReply)
def list_totals(query: TotalsQuery) -> Response:
    """Answer what all epochs used, by day or by project, simulated ones apart.

    An epoch counts on the day (UTC) it ended, once however often it was delivered; one that a second attempt
    trained again counts twice, because it was used twice.
    """
    accounts = db().accounts
    if query.by == "day":
        found = accounts.list_days(db().now().date(), query.days)
    else:
        found = accounts.list_projects()
    listed = [
        Total(name=name, real=real, simulated=simulated, equivalents=show_equivalents(real.co2_g))
        for name, (real, simulated) in found.items()
    ]
    return reply(TotalsReply(by=query.by, totals=listed))


@totals.post("/api/runs/<iid>/recompute")
@totals.input(RecomputeBody, arg_name="body")
@totals.output(RecomputeReply)
def recompute_run(iid: str, body: RecomputeBody) -> Response:
    """Compute a finished run's CO₂ again with other intensities, and keep what is replaced.

    With {} they are what is recorded by now of its zones by its provider, or where it has none the present
    yearly figure of its zone; 409 where there is none, unless the run has ended, and for figures on another
    basis than the run's. The same request again changes nothing.
    """
    run = get_whole_run(iid)
    found = db().runs
    recorded = Used(
        run=run,
        epochs=found.list_epochs(iid),
        superseded=db().accounts.list_superseded(iid),
        extras=db().accounts.list_extras(iid),
        attempts=found.list_attempts(iid),
        # As it was recorded: evenly. Values that are sent are weighted with the power that was logged.
        power=list_power(iid) if body.zone is not None else (),
    )
    if not run.status.is_final:
        raise Conflict(
            f"Run {iid} is {run.status}: its CO2 is computed again only once it has ended. Wait for that."
        )
    new = recompute(recorded, _series(body, recorded), db().now())
    if new is not None and body.zone is None and not is_whole(new):
        raise _not_recorded(run)
    if new is not None:
        db().accounts.apply(new, run)
    results = recorded.parts
    if new is not None:
        results = [*new.epochs, *new.superseded, *new.extras]
    return reply(
        RecomputeReply(
            iid=iid,
            changed=new is not None,
            co2_g=new.co2_g if new else run.co2_g,
            source=new.source if new else source_of(run),
            replaced=new.replaced if new else None,
            unknown_co2_epochs=sum(result.co2_g is None for result in results),
        )
    )


def show_equivalents(co2_g: float | None) -> list[Equivalent]:
    """Show a mass of CO₂ as what people know; nothing when it is unknown."""
    return [Equivalent(**asdict(found)) for found in equivalents_of(co2_g)]


def _series(body: RecomputeBody, used: Used) -> IntensitySeries | ByAttempt:
    """Return the intensities that were sent, or what is known now of the run's zones.

    Raises InvalidInput for intervals that overlap or are empty, Conflict where nothing is known.
    """
    if body.zone is None or body.provider is None or body.basis is None:
        return _present_series(used)
    try:
        intervals = tuple(Interval(value.start, value.end, value.g_per_kwh) for value in body.values)
        return IntensitySeries(body.zone, body.provider, body.basis, intervals)
    except IntensityUnavailable as error:
        raise InvalidInput(str(error), details=[FieldError("values", str(error))]) from error


def _present_series(used: Used) -> IntensitySeries | ByAttempt:
    """Return what is known by whoever the CO₂ is of; after a person's own values by whoever it was of."""
    run, source = used.run, source_of(used.run)
    first = source_of(run.model_copy(update={"co2_source": None}))
    by_the_hour = [name for each in (source, first) for name in _by_the_hour(each)[:1]]
    for provider in dict.fromkeys(by_the_hour):
        find = partial(intensities().find_trace_of, provider)
        series = series_of_attempts(used, find, home=planner().home, limit=intensities().stale_after)
        if series is not None and all(each.basis == CHARGED_BASIS for each in series.values()):
            return series
    if _by_the_hour(first):
        raise _not_recorded(run)
    return _yearly_series(run, first.zone if by_the_hour else source.zone)


def _by_the_hour(source: Co2Source) -> list[str]:
    return [name for name in source.provider.split(", ") if name != ONE_FIGURE]


def _yearly_series(run: Run, zone: str) -> IntensitySeries:
    try:
        return country_intensity(zone if find_zone(zone) is None else code_at(ONE_FIGURE, zone)).as_series()
    except IntensityUnavailable as error:
        raise Conflict(
            f"The CO2 of run {run.run_id} is of the zone {zone!r}, of which no yearly figure is known "
            f"here. Send zone, provider, basis and values. ({error})"
        ) from error


def _not_recorded(run: Run) -> Conflict:
    return Conflict(
        f"Not all of the time of run {run.run_id} is recorded here of its zones. Send zone, provider, basis "
        "and values."
    )
