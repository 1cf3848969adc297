"""Why a run is planned as it is, in sentences for a person; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduling.candidates import Candidate
from scheduling.durations import Work
from scheduling.in_force import CHARGED_BASIS
from scheduling.intensities import Outlook
from schema import CarbonOutcome, Recomputation, Run

LONGEST = 1_000


def because(found: Candidate, *, deadline: datetime, start: datetime, is_running: bool) -> str:
    """Say why it runs now or waits, in the zone of ``found``."""
    plan, zone = found.plan, found.zone
    if found.is_forced:
        verb = "Goes on" if is_running else "Runs now"
        return f"{verb} in {zone}: it has to, to be done by {moment(deadline)}."
    if not found.runs_now:
        verb = "Paused" if is_running else "Waits"
        return (
            f"{verb} until {moment(start)} in {zone}: {_figures(found)}"
            f"{_limit(found)}. It is to be done by {moment(deadline)}."
        )
    in_force = found.forecast.g_per_kwh[0]
    verb = "Goes on" if is_running else "Runs now"
    if found.limit_g_per_kwh is not None:
        return f"{verb} in {zone}: {in_force:.0f} g/kWh is clean enough{_limit(found)}."
    until = min(deadline, found.forecast.end)
    if len(plan.windows) > 1:
        return (
            f"{verb} in {zone}: {in_force:.0f} g/kWh is among the cleanest time before {moment(until)}; "
            "it pauses when the grid gets dirtier."
        )
    return (
        f"{verb} in {zone}: nothing cleaner than {in_force:.0f} g/kWh now is forecast before {moment(until)}."
    )


def moved(found: Candidate, stay: Candidate, *, start: datetime, at: datetime) -> str:
    """Say why a run goes to another zone half-way."""
    when = "now" if start <= at else f"from {moment(start)} on"
    return (
        f"Moves from {stay.zone} to {found.zone}: {found.plan.g_per_kwh:.0f} g/kWh are expected there "
        f"{when}, {stay.plan.g_per_kwh:.0f} g/kWh here, which saves more than starting again costs."
    )


def kept_running(found: Candidate, resume_cost: timedelta) -> str:
    """Say that a pause would not pay."""
    return (
        f"Goes on in {found.zone}: the grid is cleaner soon, but a pause until then would not pay for "
        f"starting again, which takes {span(resume_cost)}."
    )


def without_forecast(trouble: str, *, is_running: bool) -> str:
    """Say that it runs for lack of data."""
    verb = "Goes on" if is_running else "Runs now"
    return f"{verb}: nothing can be planned, because {trouble.strip().rstrip('.')}."


def of_outcome(outcome: CarbonOutcome) -> str:
    """Say what a run saved, or why that is unknown."""
    if outcome.saved_g is None or outcome.run_now_co2_g is None or outcome.co2_g is None:
        return outcome.reason or "What it saved is unknown."
    share = outcome.saved_g / outcome.run_now_co2_g if outcome.run_now_co2_g > 0 else 0.0
    figures = f"{outcome.co2_g:.3g} g emitted, {outcome.run_now_co2_g:.3g} g had it run at once"
    basis = "" if outcome.basis in (None, CHARGED_BASIS) else f" ({outcome.basis})"
    return f"It saved {100 * share:.0f} %: {figures}{basis}."


def of_correction(run: Run, new: Recomputation) -> str:
    """Say that a run's CO2 was computed again with values that came later."""
    before = "unknown" if run.co2_g is None else f"{run.co2_g:.3g} g"
    return f"CO2 {new.co2_g or 0.0:.3g} g, before {before}: with what {new.source.provider} recorded by now."


def whole(*sentences: str) -> str:
    """Join sentences to a reason."""
    text = " ".join(sentence for sentence in sentences if sentence)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def of_age(outlook: Outlook) -> str:
    """Say from when a forecast is that is not of the present; empty for one that is."""
    if outlook.known_at is None:
        return ""
    return f"Planned with what was known at {moment(outlook.known_at)}: nothing newer has come since."


def of_work(work: Work) -> str:
    """Say how long it takes and how that is known."""
    return f"Its work is taken for {span(work.duration)} ({work.source})."


def moment(at: datetime) -> str:
    """Show a time, to the minute it is in."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def not_before(at: datetime) -> str:
    """Show a time, or the first whole minute after it."""
    return moment(at + timedelta(seconds=59, microseconds=999_999))


def span(length: timedelta) -> str:
    """Show a length of time."""
    seconds = length.total_seconds()
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _figures(found: Candidate) -> str:
    plan = found.plan
    then, now = f"{plan.g_per_kwh:.0f} g/kWh are expected then", f"{plan.run_now_g_per_kwh:.0f} g/kWh"
    if plan.saving > 0:
        return f"{then}, {100 * plan.saving:.0f} % less than the {now} of a start now"
    return f"{then}, {now} for a start now"


def _limit(found: Candidate) -> str:
    return "" if found.limit_g_per_kwh is None else f" (threshold {found.limit_g_per_kwh:.0f} g/kWh)"
