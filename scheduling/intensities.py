"""The electricity of zones as it is, was and will be: from a provider, kept in the store for all programs.

Whoever asks first in a slot of time fetches; the others read the store. A fetch is bounded in time and runs
in a thread of its own, so that no caller waits longer than it says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np

from carbon_aware_trainer.errors import (
    CarbonError,
    ForecastUnavailable,
    IntensityUnavailable,
    KeyRefused,
    ProviderDown,
)
from carbon_aware_trainer.providers import Patience, Provider, open_provider
from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from errors import InvalidInput, StoreUnavailable
from scheduling.forecasters import Forecasters, key_of_provider
from scheduling.ports import Answers, Recordings
from schema import RecordedIntensities
from settings import Settings

log = logging.getLogger(__name__)

# A caller of the API waits 5 s for an answer; a zone takes two questions, for its past and its forecast.
FETCH_LIMIT_S = 4.0
PATIENCE = Patience(attempt_s=1.5, total_s=1.8, attempts=2)
# A forecaster learns from a year; with less than this more is asked for, once a day.
HISTORY = timedelta(days=400)
_LEAST_HISTORY, _CHUNK = timedelta(days=360), timedelta(days=9)
_LAST_DAY = timedelta(hours=24)
_LEARN_EVERY_S, _LEARN_AGAIN_S = 86_400.0, 3_600.0
# A zone of which nothing is known, after a question that failed.
_ASK_AGAIN_S = 60.0
# Of one zone at once: a year in parts of nine days.
MAX_QUESTIONS = 60
# The longest that passes between the moment that is planned and an answer about it.
_FETCHING = timedelta(minutes=1)
# A provider of yearly averages: there is nothing to learn from these.
ONE_FIGURE = "static"
_PROVIDER_TTL_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a zone at a moment. reason: why there is no forecast, a sentence.

    known_at: of when the newest is that the forecast rests on, where that is not the present.
    """

    zone: str
    at: datetime
    trace: Trace | None
    forecast: Forecast | None
    reason: str | None
    known_at: datetime | None = None

    @property
    def g_per_kwh(self) -> float | None:
        """What is in force; None when unknown."""
        if self.forecast is not None:
            return float(self.forecast.g_per_kwh[0])
        return None

    @property
    def step(self) -> timedelta:
        """How long a slot lasts: how often it is worth planning anew."""
        known = self.forecast or self.trace
        return HOUR if known is None else known.step


class Intensities:
    """Intensities of any zone of one provider and its fallback. Threads may share it."""

    def __init__(
        self,
        name: str,
        open_named: Callable[[], Provider],
        recordings: Recordings,
        answers: Answers,
        *,
        stale_after: timedelta,
        file: Path | None = None,
    ) -> None:
        self.name = name
        self._open = open_named
        self._provider: Provider | None = None
        self._recordings = recordings
        self._answers = answers
        self.stale_after = stale_after
        """How long a value counts after its slot."""
        self._forecasters = Forecasters(recordings)
        self._file = file

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone, naming near ones, when the provider does not have that zone. Asks nobody.

        Raises another IntensityUnavailable when the provider's file cannot be read now.
        """
        provider = self.get_provider()
        try:
            provider.check_zone(zone)
        except CarbonError as error:
            raise type(error)(self.explain(error)) from error

    def explain(self, error: CarbonError) -> str:
        """Return what an error says, for a person who need not know where on the server a file is."""
        text = str(error)
        if self._file is not None:
            for path in {str(self._file), str(self._file.expanduser()), str(self._file.resolve())}:
                text = text.replace(f"{path}/", "").replace(path, self._file.name)
        return text

    def get_provider(self) -> Provider:
        """Return who is asked; a file that was not there is looked for again.

        Raises IntensityUnavailable while it is not.
        """
        if self._provider is None:
            self._provider = self._open()
        return self._provider

    def outlooks(
        self, zones: Sequence[str], now: datetime, *, limit_s: float = FETCH_LIMIT_S
    ) -> dict[str, Outlook]:
        """Return what is known of zones; after ``limit_s`` nobody is waited for, and what is kept counts."""
        found: dict[str, Outlook | StoreUnavailable] = {}

        def ask(zone: str) -> None:
            try:
                found[zone] = self.outlook(zone, now)
            except StoreUnavailable as error:
                found[zone] = error

        # Daemons: a program that ends waits for no provider.
        asked = [threading.Thread(target=ask, args=(zone,), daemon=True) for zone in dict.fromkeys(zones)]
        ends_at_s = time.monotonic() + limit_s
        for thread in asked:
            thread.start()
        for thread in asked:
            thread.join(max(0.0, ends_at_s - time.monotonic()))
        late = f"its provider gave no answer within {limit_s:g} s"
        got = {zone: found.get(zone) or self._kept(zone, now, late) for zone in dict.fromkeys(zones)}
        for answer in got.values():
            if isinstance(answer, StoreUnavailable):
                raise answer
        return {zone: answer for zone, answer in got.items() if isinstance(answer, Outlook)}

    def outlook(self, zone: str, now: datetime) -> Outlook:
        """Return what is known of a zone; asks the provider where nobody has in this slot of time.

        Raises StoreUnavailable; whatever else goes wrong is the outlook's ``reason``.
        """
        return self._kept(zone, now, self.refresh(zone, now), is_asking=True)

    def _kept(self, zone: str, now: datetime, trouble: str | None, *, is_asking: bool = False) -> Outlook:
        """Return what the store has of a zone. is_asking: the provider's own forecast counts before ours."""
        trace = self.find_trace(zone, now - HISTORY, now + timedelta(microseconds=1))
        if trace is None:
            return Outlook(zone, now, None, None, trouble or "nothing is recorded of it yet")
        if is_asking and trace.provider != ONE_FIGURE:
            theirs, why = self._theirs(trace, now)
            if theirs is not None:
                is_old = now - theirs.made_at > theirs.step
                return Outlook(zone, now, trace, theirs, None, theirs.made_at if is_old else None)
            trouble = trouble or why
        known_until = _known_until(trace)
        if (age := now - known_until) > self.stale_after:
            stale = f"its newest value is {_hours(age)} too old to plan with"
            return Outlook(zone, now, trace, None, f"{stale}; {trouble}" if trouble else stale)
        forecast, reason = self._own(trace, now, trouble or "")
        return Outlook(zone, now, trace, forecast, reason, known_until if known_until <= now else None)

    def find_trace(self, zone: str, start: datetime, end: datetime) -> Trace | None:
        """Return what is recorded of a zone by whom it was asked last; None without anything."""
        return self.find_trace_of(self._provider_of(zone), zone, start, end)

    def find_trace_of(self, provider: str, zone: str, start: datetime, end: datetime) -> Trace | None:
        """Return what is recorded of a zone by a provider; None without anything."""
        found = self._recordings.find(zone, key_of_provider(provider), start, end)
        return None if found is None else _to_trace(found, provider)

    def learn(self, zone: str, now: datetime, *, questions: int = MAX_QUESTIONS) -> int:
        """Fetch what is missing of a year of history, and fit the forecaster anew, once a day.

        May take a minute and the network: never call it where somebody waits. questions: as many are asked at
        most; returns how many were.
        """
        trace = self.outlook(zone, now).trace
        if trace is None or trace.provider == ONE_FIGURE:
            return 0
        # Not for the day before it is done: what fails, or dies on the way, is tried again in an hour.
        token = self._answers.claim(job := f"carbon-learn:{zone}", ttl_s=_LEARN_AGAIN_S)
        if token is None:
            return 0
        is_whole, asked = self._fetch_history(zone, now, questions)
        if is_whole:
            self._answers.release(job, token)
            self._is_first(job, _LEARN_EVERY_S)
        if (trace := self.find_trace(zone, now - HISTORY, now)) is not None:
            self._forecasters.refit(trace, now)
        return asked

    def refresh(self, zone: str, now: datetime) -> str | None:
        """Fetch what was recorded since the last time, at most once in a slot; returns what went wrong."""
        known = self.find_trace(zone, now - _CHUNK, now + timedelta(microseconds=1))
        if known is not None and known.slot(now) < len(known.g_per_kwh):
            return None
        if known is not None and not self._is_first(f"carbon-newest:{zone}", known.step.total_seconds() / 10):
            return None
        # A file is looked for again at once: that costs nobody anything.
        is_blind = known is None and self._file is None
        if is_blind and (trouble := self._answers.get(_trouble(zone))) is not None:
            return trouble.decode()
        since = self._since(zone, now)
        try:
            self._keep(self.get_provider().fetch_history(zone, since, now + timedelta(microseconds=1)))
        except CarbonError as error:
            log.warning("no intensities zone=%s: %s", zone, error)
            explained = self.explain(error)
            if is_blind:
                self._answers.put(_trouble(zone), explained.encode(), ttl_s=_ASK_AGAIN_S)
            return explained
        return None

    def _since(self, zone: str, now: datetime) -> datetime:
        """Return from when on to ask: what was left out while the fallback stood in is made up for, too."""
        own = self.find_trace_of(self.name, zone, now - _CHUNK, now + timedelta(microseconds=1))
        return now - _LAST_DAY if own is None else max(now - _CHUNK, own.end - 3 * own.step)

    def _theirs(self, trace: Trace, now: datetime) -> tuple[Forecast | None, str]:
        """Return the provider's own forecast, as long as one counts that is kept; or why there is none."""
        try:
            theirs = self.get_provider().fetch_forecast(trace.zone)
        except CarbonError as error:
            if not isinstance(error, ForecastUnavailable):
                log.warning("no forecast of the provider zone=%s: %s", trace.zone, error)
            return None, self.explain(error)
        if (theirs.provider, theirs.basis) == (trace.provider, trace.basis) and _holds(theirs, now):
            return theirs, ""
        return None, "its provider's forecast is of another time or basis"

    def _own(self, trace: Trace, now: datetime, trouble: str) -> tuple[Forecast | None, str | None]:
        """Return our own forecast; or why there is none."""
        if trace.provider == ONE_FIGURE:
            return _flat(trace, now), None
        try:
            return self._forecasters.forecast(trace, now), None
        except CarbonError as error:
            return None, f"{trouble.rstrip('.')}; {error}"

    def _fetch_history(self, zone: str, now: datetime, questions: int) -> tuple[bool, int]:
        """Fetch older values in parts, newest first, until there is a year or the provider has no more.

        False when it gave no answer, but may later, or with the last question; and how many were asked.
        """
        for asked in range(questions):
            known = self.find_trace(zone, now - HISTORY, now)
            if known is None or now - known.start >= _LEAST_HISTORY:
                return True, asked
            try:
                older = self.get_provider().fetch_history(zone, known.start - _CHUNK, known.start)
            except CarbonError as error:
                log.info("no older intensities zone=%s: %s", zone, error)
                return not isinstance(error, ProviderDown), asked + 1
            if older.provider != known.provider or not np.isfinite(older.g_per_kwh).any():
                return True, asked + 1
            self._keep(older)
        return False, questions

    def _keep(self, trace: Trace) -> None:
        """Write what was fetched to the store, for all."""
        recorded = RecordedIntensities(
            zone=trace.zone,
            provider=key_of_provider(trace.provider),
            basis=trace.basis,
            start=trace.start,
            step_s=round(trace.step.total_seconds()),
            g_per_kwh=tuple(float(value) if np.isfinite(value) else None for value in trace.g_per_kwh),
        )
        try:
            self._recordings.put(recorded)
        except InvalidInput as error:
            raise IntensityUnavailable(str(error)) from error
        self._answers.put(_who(trace.zone), trace.provider.encode(), ttl_s=_PROVIDER_TTL_S)

    def _provider_of(self, zone: str) -> str:
        """Return who gave the newest values of a zone: the fallback while the provider is away."""
        kept = self._answers.get(_who(zone))
        return self.name if kept is None else kept.decode()

    def _is_first(self, job: str, ttl_s: float) -> bool:
        return self._answers.claim(job, ttl_s=max(0.2, ttl_s)) is not None


def open_intensities(settings: Settings, recordings: Recordings, answers: Answers) -> Intensities:
    """Open the provider of the settings and its fallback. Raises InvalidInput, naming the setting.

    A file that is not there now is none of its errors: until it is, runs are not planned and say so.
    """
    if "cached" in (settings.carbon_model, settings.carbon_fallback) and settings.carbon_file is None:
        raise InvalidInput("The carbon model cached needs WATTLE_CARBON_FILE: a file or folder of traces.")
    found = Intensities(
        settings.carbon_model,
        partial(_open, settings, answers),
        recordings,
        answers,
        stale_after=timedelta(seconds=settings.carbon_stale_s),
        file=settings.carbon_file,
    )
    try:
        found.get_provider()
    except CarbonError as error:
        if isinstance(error, KeyRefused) or not isinstance(error, IntensityUnavailable):
            text = f"WATTLE_CARBON_MODEL {settings.carbon_model} cannot be used: {error}"
            raise InvalidInput(text) from error
        log.warning("no intensities for now: %s", error)
    return found


def _open(settings: Settings, answers: Answers) -> Provider:
    stale_after = timedelta(seconds=settings.carbon_stale_s)
    shared = partial(open_provider, cache=answers, stale_after=stale_after, patience=PATIENCE)
    fallback = None
    if settings.carbon_fallback is not None:
        fallback = shared(settings.carbon_fallback, api_key=_api_key(settings, settings.carbon_fallback))
    return shared(
        settings.carbon_model,
        api_key=_api_key(settings, settings.carbon_model),
        fallback=fallback,
        base_url=settings.carbon_url,
    )


def _api_key(settings: Settings, model: str) -> str | None:
    if model == "cached":
        return None if settings.carbon_file is None else str(settings.carbon_file)
    return None if settings.carbon_api_key is None else settings.carbon_api_key.get_secret_value()


def _who(zone: str) -> str:
    return f"carbon-provider:{zone}"


def _trouble(zone: str) -> str:
    return f"carbon-trouble:{zone}"


def _to_trace(found: RecordedIntensities, provider: str) -> Trace:
    values = np.array([np.nan if value is None else value for value in found.g_per_kwh], dtype=np.float64)
    basis = found.basis
    step = timedelta(seconds=found.step_s)
    return Trace(found.zone, provider, basis, found.start, step, values)  # type: ignore[arg-type] # as it was put


def _known_until(trace: Trace) -> datetime:
    """Return the end of the newest slot with a value."""
    known = np.flatnonzero(np.isfinite(trace.g_per_kwh))
    return trace.start + (int(known[-1]) + 1) * trace.step if len(known) else trace.start


def _holds(forecast: Forecast, now: datetime) -> bool:
    """Say whether a forecast is of now; slots may have ended while it was fetched."""
    return forecast.start - max(forecast.step, _FETCHING) <= now < forecast.end


def _flat(trace: Trace, now: datetime) -> Forecast:
    """Return a yearly average as what is expected of every hour."""
    start = trace.start + trace.slot(now) * trace.step
    values = np.full(24 * 14, trace.g_per_kwh[-1])
    return Forecast(
        trace.zone, trace.provider, trace.basis, now, start, trace.step,
        values, values, values, "the yearly average, for every hour",
    )  # fmt: skip


def _hours(age: timedelta) -> str:
    hours = age / HOUR
    return f"{hours:.1f} h old," if hours >= 1 else f"{age.total_seconds():.0f} s old,"
