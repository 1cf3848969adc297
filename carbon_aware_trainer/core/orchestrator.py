"""Where and when to run a job that may run in several regions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.errors import CarbonError, IntensityUnavailable, NoFeasibleStart
from carbon_aware_trainer.plans import Plan
from carbon_aware_trainer.providers.asking import utc_now
from carbon_aware_trainer.strategies.windows import best_slots, best_window, best_zone, trouble_of
from carbon_aware_trainer.traces import HOUR, Forecast

_LONGEST = 96 * HOUR


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a region would come to. co2_g: None without the energy; with what moving there costs."""

    region: str
    plan: Plan
    co2_g: float | None
    move_co2_g: float | None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and when to run, against running at once at home. Grams are None without the energy.

    candidates: the cleanest first. left_out: regions that cannot be planned for, and why.
    """

    region: str
    plan: Plan
    co2_g: float | None
    run_now_co2_g: float | None
    reason: str
    candidates: tuple[Candidate, ...]
    left_out: Mapping[str, str]

    @property
    def start(self) -> datetime:
        """When to start."""
        return self.plan.start

    @property
    def saved_g(self) -> float | None:
        """What is expected to be saved."""
        return None if self.co2_g is None or self.run_now_co2_g is None else self.run_now_co2_g - self.co2_g


class MultiRegionOrchestrator:
    """Compares regions on the figures of one provider; the first is home, unless another one is named."""

    def __init__(
        self,
        regions: Sequence[str],
        *,
        carbon_model: str | None = None,
        api_key: str | None = None,
        monitor: CarbonMonitor | None = None,
    ) -> None:
        """Take the regions and whom to ask: a monitor of all of them, or as CarbonMonitor.

        Raises CarbonError for a monitor that does not have them, UnknownZone, UnknownModel, KeyRefused.
        """
        self.monitor = monitor or CarbonMonitor(regions, carbon_model=carbon_model, api_key=api_key)
        self.regions = tuple(regions)
        for region in self.regions:
            self.monitor.provider.check_zone(region)

    def optimize_placement(
        self,
        duration_hours: float,
        deadline: datetime | None = None,
        *,
        energy_kwh: float | None = None,
        interruptible: bool = False,
        home: str | None = None,
        move_kwh: float = 0.0,
        now: datetime | None = None,
    ) -> Placement:
        """Return the cleanest region and time to be done by ``deadline``, by default within 24 h of slack.

        energy_kwh: of the job, for figures in grams. move_kwh: what bringing it elsewhere than ``home`` uses,
        charged there; it needs the job's energy to be set against. A region without a forecast is left out.
        Ties stay at home. Raises NoFeasibleStart, BasesMixed, and IntensityUnavailable when none is left.
        """
        now = now or utc_now()
        asked = _checked(self, duration_hours, deadline, energy_kwh, interruptible, home, move_kwh, now)
        found = {region: self._forecast_or_why(region, asked.hours) for region in self.regions}
        return _place(asked, found)

    async def aoptimize_placement(
        self,
        duration_hours: float,
        deadline: datetime | None = None,
        *,
        energy_kwh: float | None = None,
        interruptible: bool = False,
        home: str | None = None,
        move_kwh: float = 0.0,
        now: datetime | None = None,
    ) -> Placement:
        """Return the cleanest region and time; all regions are asked at the same time."""
        now = now or utc_now()
        asked = _checked(self, duration_hours, deadline, energy_kwh, interruptible, home, move_kwh, now)
        listed = await asyncio.gather(
            *(self._aforecast_or_why(region, asked.hours) for region in self.regions)
        )
        return _place(asked, dict(zip(self.regions, listed, strict=True)))

    def _forecast_or_why(self, region: str, hours: float) -> Forecast | str:
        try:
            return self.monitor.get_forecast(region, hours)
        except IntensityUnavailable as err:
            return str(err)

    async def _aforecast_or_why(self, region: str, hours: float) -> Forecast | str:
        try:
            return await self.monitor.aget_forecast(region, hours)
        except IntensityUnavailable as err:
            return str(err)


@dataclass(frozen=True, slots=True)
class _Asked:
    duration: timedelta
    deadline: datetime
    energy_kwh: float | None
    is_interruptible: bool
    home: str
    move_kwh: float
    now: datetime

    @property
    def hours(self) -> float:
        return min(_LONGEST, self.deadline - self.now) / HOUR


def _checked(
    orchestrator: MultiRegionOrchestrator,
    duration_hours: float,
    deadline: datetime | None,
    energy_kwh: float | None,
    interruptible: bool,
    home: str | None,
    move_kwh: float,
    now: datetime,
) -> _Asked:
    duration = duration_hours * HOUR
    home = home or orchestrator.regions[0]
    if home not in orchestrator.regions:
        raise CarbonError(f"Home {home!r} is none of the regions {', '.join(orchestrator.regions)}.")
    if deadline is not None and deadline.tzinfo is None:
        raise CarbonError("Give the deadline with its offset, such as datetime(…, tzinfo=UTC).")
    if move_kwh and not energy_kwh:
        raise CarbonError("The cost of a move can only be compared with energy_kwh of the job. Give it, too.")
    if not duration_hours > 0:
        raise CarbonError("Give a duration above 0 hours.")
    until = deadline or now + duration + 24 * HOUR
    if now + duration > until:
        raise NoFeasibleStart(
            f"{duration_hours:g} h of work do not fit before {until:%Y-%m-%d %H:%M} UTC. Allow more time."
        )
    return _Asked(duration, until, energy_kwh, interruptible, home, move_kwh, now)


def _place(asked: _Asked, found: Mapping[str, Forecast | str]) -> Placement:
    forecasts, left_out = dict[str, Forecast](), dict[str, str]()
    for region, each in found.items():
        trouble = each if isinstance(each, str) else trouble_of(each, now=asked.now, duration=asked.duration)
        if isinstance(each, str) or trouble is not None:
            left_out[region] = str(trouble)
        else:
            forecasts[region] = each
    if not forecasts:
        raise IntensityUnavailable(" ".join(f"{region}: {why}" for region, why in left_out.items()))
    when = {"now": asked.now, "duration": asked.duration, "deadline": asked.deadline}
    best_zone(forecasts, **when)  # type: ignore[arg-type]  # refuses mixed bases
    search = best_slots if asked.is_interruptible else best_window
    candidates = sorted(
        (_candidate(asked, region, search(forecast, **when)) for region, forecast in forecasts.items()),  # type: ignore[arg-type]
        key=lambda one: (_cost(one), one.region != asked.home),
    )
    home = next((one for one in candidates if one.region == asked.home), None)
    run_now = (
        None if home is None or asked.energy_kwh is None else asked.energy_kwh * home.plan.run_now_g_per_kwh
    )
    best = candidates[0]
    return Placement(
        best.region, best.plan, best.co2_g, run_now, _why(asked, best, home), tuple(candidates), left_out
    )


def _candidate(asked: _Asked, region: str, plan: Plan) -> Candidate:
    if asked.energy_kwh is None:
        return Candidate(region, plan, None, None)
    move_g = 0.0 if region == asked.home else asked.move_kwh * plan.g_per_kwh
    return Candidate(region, plan, asked.energy_kwh * plan.g_per_kwh + move_g, move_g)


def _cost(candidate: Candidate) -> float:
    """Return what is compared, rounded: sums of floats about the same hours differ in their last digits."""
    cost = candidate.plan.g_per_kwh if candidate.co2_g is None else candidate.co2_g
    return float(f"{cost:.9g}")


def _why(asked: _Asked, best: Candidate, home: Candidate | None) -> str:
    if home is None:
        return f"{best.region} is the cleanest; nothing is forecast for {asked.home}."
    if best.region == asked.home:
        others = "" if asked.energy_kwh is None or not asked.move_kwh else ", the move included"
        return f"Nothing cleaner is forecast elsewhere{others}. {best.plan.reason}"
    there, here = best.plan.g_per_kwh, home.plan.g_per_kwh
    return f"{there:.0f} g/kWh are forecast in {best.region}, {here:.0f} g/kWh at best in {asked.home}."
