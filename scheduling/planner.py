"""Plans one run: when and in which zone it is to run, whether it goes on, and why.

Its deadline always wins, with a margin on what its work is taken for. Without data it runs now and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from carbon_aware_trainer.errors import IntensityUnavailable, UnknownZone
from carbon_aware_trainer.plans import Job
from carbon_aware_trainer.providers.zones import canonical
from errors import FieldError, InvalidInput
from scheduling import sentences
from scheduling.candidates import BAND, Candidate, assess, next_slot
from scheduling.intensities import FETCH_LIMIT_S, Intensities
from scheduling.places import Places, find_places
from scheduling.ports import Store
from scheduling.scene import Scene
from scheduling.subject import Subject, of_run, of_submission
from scheduling.times import later
from scheduling.zones import read_zones
from schema import MAX_WINDOWS, CarbonOptions, CarbonPlan, PlannedWindow, Run, RunOptions, Status, ZoneStay
from settings import Settings

# How soon a run is planned again that could not be planned for lack of data.
_RETRY = timedelta(minutes=15)
# A zone that is cleaner by less is no reason to wait in another queue.
_ZONE_BAND = 0.01
_IDLE = frozenset({Status.DEFERRED, Status.WAITING, Status.PAUSED})
# Of a plan for another zone than the one its figures are of.
_NOTHING_EXPECTED: Mapping[str, object] = {
    "provider": None,
    "basis": None,
    "windows": (),
    "g_per_kwh": None,
    "run_now_g_per_kwh": None,
    "expected_co2_g": None,
    "run_now_co2_g": None,
    "saving": 0.0,
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and whether the run's worker has to give it back for it."""

    plan: CarbonPlan
    is_postponed: bool = False


@dataclass(frozen=True, slots=True)
class _Choice:
    """What was chosen of the candidates. ``found`` None: nothing could be planned."""

    found: Candidate | None
    zone: str
    start: datetime
    reason: str
    is_postponed: bool = False
    run_now_g_per_kwh: float | None = None


class Planner:
    """Plans runs with the intensities of the settings' provider. Threads may share it."""

    def __init__(self, store: Store, settings: Settings, intensities: Intensities) -> None:
        self._store = store
        self._home = canonical(settings.effective_zone)
        self._checkpoint_url = settings.effective_checkpoint_url
        self._intensities = intensities

    @property
    def home(self) -> str:
        """The zone of the installation."""
        return self._home

    def look(self, now: datetime, *, limit_s: float = FETCH_LIMIT_S) -> Scene:
        """Return what plans of this moment are made from; share it between them.

        limit_s: how long a provider may take.
        """
        return Scene(self._store, self._intensities, now, limit_s=limit_s)

    def plan_submission(
        self, hyper_params: Mapping[str, JsonValue], options: RunOptions, now: datetime | None = None
    ) -> CarbonPlan | None:
        """Plan a run that is to be submitted; None for one that does not follow the grid, at no cost.

        Raises InvalidInput for a deadline that is past or cannot be met even at once, and for a zone that
        the provider does not have.
        """
        carbon = options.carbon
        if carbon is None:
            return None
        now = now or self._store.now()
        self._check_zones(carbon)
        if carbon.deadline is not None and carbon.deadline <= now:
            raise _late("is in the past: give a later one, or leave it out")
        scene = self.look(now)
        subject = of_submission(hyper_params, options, carbon, scene, home=self._home)
        _check_reachable(subject, now)
        return self._plan(subject, scene).plan

    def replan(self, run: Run, scene: Scene) -> Planned:
        """Plan a run again as it stands now."""
        return self._plan(of_run(run, scene, home=self._home), scene)

    def without_plan(self, run: Run, scene: Scene, trouble: str) -> Planned:
        """Let a run start at once, because it cannot be planned."""
        subject = of_run(run, scene, home=self._home)
        choice = _without_forecast(subject, subject.zones[0], trouble, subject.begin(scene.now))
        return Planned(_plan_of(subject, choice, scene.now))

    def move(self, run: Run, now: datetime) -> Run | None:
        """Return a run that nobody trains as it would be in a zone with a live worker; None to leave it.

        For one that is to run now and is planned no more. It is left where its zone has one, where no zone
        has one, and where its checkpoints are not seen elsewhere.
        """
        run = read_zones(run)
        zones = run.options.carbon and run.options.carbon.zones
        if run.carbon is None or len(zones or ()) < 2 or run.status not in _IDLE:
            return None
        scene = self.look(now)
        subject = of_run(run, scene, home=self._home)
        places = self._find_places(subject, scene)
        is_stuck = run.attempt > 0 and not places.can_move
        if is_stuck or run.carbon.zone in places.zones or not places.zones:
            return None
        zone = (places.idle or places.zones)[0]
        reason = f"Runs now in {zone}: no live worker takes it in {run.carbon.zone}."
        known = {"zone": zone, "stays": _stays(subject, zone), "reason": reason}
        return run.model_copy(update={"carbon": run.carbon.model_copy(update={**_NOTHING_EXPECTED, **known})})

    def _find_places(self, subject: Subject, scene: Scene) -> Places:
        return find_places(
            subject.zones,
            subject.options.requires,
            scene.workers,
            checkpoint_url=self._checkpoint_url,
            hosts=subject.hosts,
        )

    def _plan(self, subject: Subject, scene: Scene) -> Planned:
        if subject.is_running and not subject.carbon.interruptible:
            return Planned(_kept(subject, _plan_of(subject, _goes_on(subject, scene), scene.now)))
        places = self._find_places(subject, scene)
        zones = _zones_to_compare(subject, places)
        outlooks = scene.outlooks(zones)
        at = subject.begin(scene.now)
        assessed = {
            zone: assess(_job(subject, zone), outlooks[zone], subject.carbon, at=at) for zone in zones
        }
        found = _comparable([each for each in assessed.values() if isinstance(each, Candidate)], subject)
        if not found:
            trouble = "; ".join(dict.fromkeys(f"{zone}: {why}" for zone, why in assessed.items()))
            # In the queue it waits in already: there is no reason to leave that.
            last = subject.last.zone if subject.last is not None else None
            stay = zones[0] if last is None or last not in zones else last
            choice = _without_forecast(subject, stay, trouble, at)
        elif subject.is_running:
            choice = _of_running(subject, found, at)
        else:
            choice = _of_idle(subject, found, at)
        note = sentences.whole(
            sentences.of_age(choice.found.outlook) if choice.found is not None else "",
            _note_on_places(subject, places),
        )
        return Planned(_plan_of(subject, choice, scene.now, note=note), choice.is_postponed)

    def _check_zones(self, carbon: CarbonOptions) -> None:
        for zone in carbon.zones or ():
            try:
                self._intensities.check_zone(zone)
            except IntensityUnavailable as error:
                if not isinstance(error, UnknownZone):
                    return  # a file that cannot be read now: the plan says so
                details = [FieldError("options.carbon.zones", str(error))]
                raise InvalidInput(f"options.carbon.zones: {error}", details=details) from error


def _check_reachable(subject: Subject, now: datetime) -> None:
    """Refuse a deadline that known work misses even at once. A guess refuses nothing."""
    deadline, begin = subject.carbon.deadline, subject.begin(now)
    work = subject.work
    if deadline is None or (work.is_guess and begin < deadline) or later(begin, work.likely) <= deadline:
        return
    raise _late(
        f"cannot be met even by a start {'at its start_at' if begin > now else 'now'}: the work takes "
        f"{sentences.span(work.likely)} ({work.source}); give one after "
        f"{sentences.not_before(later(begin, work.duration))}, or train fewer epochs"
    )


def _late(why: str) -> InvalidInput:
    return InvalidInput(
        f"options.carbon.deadline {why}.", details=[FieldError("options.carbon.deadline", why)]
    )


def _zones_to_compare(subject: Subject, places: Places) -> Sequence[str]:
    """Return where it may run: where a worker lives; a run that is under way stays where it cannot move."""
    if len(subject.zones) == 1:
        return subject.zones
    if subject.here is not None and not places.can_move:
        return (subject.here,)
    if subject.is_running:
        # A run that trains does not give its worker up for one that is busy.
        return [zone for zone in subject.zones if zone in places.idle or zone == subject.here]
    return [zone for zone in subject.zones if zone in places.zones] or subject.zones


def _job(subject: Subject, zone: str) -> Job:
    """Return the work as a strategy sees it: its deadline leaves the margin, and room to start once more."""
    work = subject.work
    is_running = subject.is_running and zone == subject.here
    starts_again = subject.is_running and zone != subject.here
    room = work.margin + (work.resume_cost if subject.is_running else timedelta())
    return Job(
        duration=work.likely + (work.resume_cost if starts_again else timedelta()),
        deadline=subject.deadline() - room,
        is_interruptible=subject.carbon.interruptible,
        is_running=is_running,
        resume_cost=work.resume_cost,
    )


def _comparable(found: Sequence[Candidate], subject: Subject) -> Sequence[Candidate]:
    """Return those of one provider and basis: of the zone it is in, else of the most zones."""
    if not found:
        return found
    here = [candidate.kind for candidate in found if candidate.zone == subject.here]
    kinds = [candidate.kind for candidate in found]
    kind = here[0] if here else max(kinds, key=kinds.count)
    return [candidate for candidate in found if candidate.kind == kind]


def _of_idle(subject: Subject, found: Sequence[Candidate], at: datetime) -> _Choice:
    """Choose for a run that nobody trains: the cleanest zone, or where it is if that is as good."""
    best = min(found, key=lambda each: each.plan.g_per_kwh)
    last = subject.last.zone if subject.last is not None else None
    kept = next((each for each in found if each.zone == last), best)
    chosen = kept if kept.plan.g_per_kwh <= best.plan.g_per_kwh * (1 + _ZONE_BAND) else best
    start = at if chosen.runs_now else chosen.plan.start
    reason = sentences.because(chosen, deadline=subject.deadline(), start=start, is_running=False)
    if len(found) > 1:
        others = ", ".join(f"{e.zone} {e.plan.g_per_kwh:.0f}" for e in found if e is not chosen)
        reason = f"{reason} It is the cleanest of its zones ({others} g/kWh)."
    return _Choice(chosen, chosen.zone, start, reason, run_now_g_per_kwh=_run_now(subject, found, chosen))


def _of_running(subject: Subject, found: Sequence[Candidate], at: datetime) -> _Choice:
    """Choose for a run that trains: to go on, to pause, or to go on elsewhere."""
    stay = next((each for each in found if each.zone == subject.here), None)
    if stay is None:
        trouble = f"nothing is known of {subject.here}, where it runs"
        return _without_forecast(subject, subject.here or subject.zones[0], trouble, at)
    work, deadline = subject.work, subject.deadline()
    run_now = _run_now(subject, found, stay)
    pays = not stay.runs_now and stay.plan.start - at > work.resume_cost
    # Both are paid for starting again: what is paused, and what moves.
    again = work.likely + work.resume_cost
    own_cost = stay.cost(again if pays else work.likely)
    best = min(found, key=lambda each: each.cost(again if each is not stay else work.likely))
    if best is not stay and not best.is_forced and best.cost(again) < own_cost * (1 - BAND):
        start = at if best.runs_now else best.plan.start
        reason = sentences.moved(best, stay, start=start, at=at)
        return _Choice(best, best.zone, start, reason, is_postponed=True, run_now_g_per_kwh=run_now)
    if pays:
        reason = sentences.because(stay, deadline=deadline, start=stay.plan.start, is_running=True)
        return _Choice(stay, stay.zone, stay.plan.start, reason, True, run_now)
    if not stay.runs_now:
        reason = sentences.kept_running(stay, work.resume_cost)
    else:
        reason = sentences.because(stay, deadline=deadline, start=at, is_running=True)
    return _Choice(stay, stay.zone, at, reason, run_now_g_per_kwh=run_now)


def _goes_on(subject: Subject, scene: Scene) -> _Choice:
    zone = subject.here or subject.zones[0]
    return _Choice(None, zone, scene.now, f"Goes on in {zone}: it may not be interrupted.")


def _kept(subject: Subject, plan: CarbonPlan) -> CarbonPlan:
    """Return the plan of a run that only goes on, with the figures that it started with."""
    if subject.last is None:
        return plan
    fresh = {name: getattr(plan, name) for name in ("made_at", "next_at", "end_at", "reason")}
    return subject.last.model_copy(update=fresh)


def _without_forecast(subject: Subject, zone: str, trouble: str, at: datetime) -> _Choice:
    reason = sentences.without_forecast(trouble, is_running=subject.is_running)
    return _Choice(None, subject.here or zone, at, reason)


def _run_now(subject: Subject, found: Sequence[Candidate], chosen: Candidate) -> float:
    """Return what a start at once would emit: in the first of its zones, where it would be without a plan."""
    first = next((each for each in found if each.zone == subject.zones[0]), chosen)
    return first.plan.run_now_g_per_kwh


def _note_on_places(subject: Subject, places: Places) -> str:
    if len(subject.zones) == 1:
        return ""
    if not places.zones:
        return f"No live worker takes runs in {' or '.join(subject.zones)}: it waits for one."
    if not places.can_move:
        return (
            "Its checkpoints are on a path of one host (WATTLE_CHECKPOINT_URL), which other zones do "
            "not see: once it has started, it stays in its zone."
        )
    return ""


def _plan_of(subject: Subject, choice: _Choice, now: datetime, *, note: str = "") -> CarbonPlan:
    """Write down what was chosen."""
    found, work = choice.found, subject.work
    forecast = found.forecast if found is not None else None
    expected = found.plan.g_per_kwh if found is not None else None
    run_now = choice.run_now_g_per_kwh
    windows = () if found is None else found.plan.windows
    end = max(windows[-1].end if windows else later(choice.start, work.likely), choice.start)
    cannot_stop = subject.is_running and not subject.carbon.interruptible
    again = max(end, now + _RETRY) if cannot_stop else next_slot(forecast, now, otherwise=_retry(subject))
    return CarbonPlan(
        made_at=now,
        next_at=again,
        policy=subject.carbon.policy,
        method=forecast.method if forecast is not None else "without a forecast",
        zone=choice.zone,
        provider=forecast.provider if forecast is not None else None,
        basis=forecast.basis if forecast is not None else None,
        start_at=choice.start,
        deferred_until=_deferred_until(subject, choice.start, now),
        end_at=end,
        deadline=subject.deadline(),
        windows=tuple(
            PlannedWindow(start=each.start, end=each.end, g_per_kwh=each.g_per_kwh)
            for each in windows[:MAX_WINDOWS]
        ),
        duration_s=work.duration.total_seconds(),
        duration_from=work.source,
        g_per_kwh=expected,
        run_now_g_per_kwh=run_now,
        expected_co2_g=_grams(work.energy_kwh, expected),
        run_now_co2_g=_grams(work.energy_kwh, run_now),
        saving=0.0 if not run_now or expected is None else 1 - expected / run_now,
        reason=sentences.whole(choice.reason, note, sentences.of_work(work)),
        stays=_stays(subject, choice.zone),
    )


def _retry(subject: Subject) -> timedelta:
    """Return how soon to plan again without a forecast: within what the work leaves before its deadline."""
    return min(_RETRY, max(subject.work.likely / 4, timedelta(seconds=1)))


def _deferred_until(subject: Subject, start: datetime, now: datetime) -> datetime | None:
    """Return until when plans keep it from its first attempt; what it waits for then is no plan's doing."""
    before = subject.last.deferred_until if subject.last is not None else None
    if subject.attempt:
        return before
    return start if start > subject.begin(now) else before and min(before, now)


def _stays(subject: Subject, zone: str) -> tuple[ZoneStay, ...]:
    before = subject.last.stays if subject.last is not None else ()
    if subject.here is None or subject.here == zone or not subject.attempt:
        return before
    return (*before, ZoneStay(until_attempt=subject.attempt, zone=subject.here))


def _grams(energy_kwh: float | None, g_per_kwh: float | None) -> float | None:
    return None if energy_kwh is None or g_per_kwh is None else energy_kwh * g_per_kwh
