"""What the pages know of the electricity of zones: answers of the API, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Generic, TypeVar

import streamlit as st

from errors import ApiError, ApiRefused
from schema import (
    ForecastReply,
    HistoryReply,
    IntensityReply,
    RunReply,
    SavingsReply,
    SortField,
    Status,
    WindowReply,
    ZonesReply,
)
from views import source
from views.actions import follows_grid
from views.source import Listing

SAVINGS_WEEKS = 12
_YOUNG_S = 30
_WAITING = (Status.DEFERRED, Status.RUNNING, Status.WAITING)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Answer(Generic[T_co]):
    """What is known; without a value ``reason`` says why, or ``problem`` that the API is silent."""

    value: T_co | None
    time: datetime
    reason: str = ""
    is_mistaken: bool = False
    """What was asked for is wrong, such as a zone that is none."""
    problem: ApiError | None = None


def ask(name: str, call: Callable[[], T], *, of: Hashable = None) -> Answer[T]:
    """Ask the API; a refusal is an answer, too."""
    try:
        found = source.fetch(f"grid:{name}", call, of=of)
    except ApiRefused as error:
        is_mistaken = error.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return Answer(None, datetime.now(UTC), str(error), is_mistaken)
    return Answer(found.value, found.time, problem=found.problem)


# Without a zone each of them is about that of the API.
@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def get_intensity(zone: str | None) -> IntensityReply:
    """Return the intensity of a zone now. Raises ApiRefused with the reason when none is known."""
    return source.api().get_intensity(zone)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def get_forecast(zone: str | None, hours: int) -> ForecastReply:
    """Return what is expected of a zone. Raises ApiRefused with the reason when nothing is."""
    return source.api().get_forecast(zone, hours=hours)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def get_window(zone: str | None, duration_h: float, *, interruptible: bool) -> WindowReply:
    """Return the cleanest time for work of that length. Raises ApiRefused where the forecast is too short."""
    return source.api().get_window(duration_h, zone=zone, interruptible=interruptible)


@st.cache_data(ttl=600, show_spinner=False)
def get_history(zone: str | None) -> HistoryReply:
    """Return means by month and hour. Raises ApiRefused when nothing is recorded."""
    return source.api().get_intensity_history(zone)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_savings() -> SavingsReply:
    """Return what runs saved, by week."""
    return source.api().list_savings(weeks=SAVINGS_WEEKS)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_zones() -> ZonesReply:
    """Return the zones in use as they are now, and all that are known."""
    return source.api().list_zones()


def list_planned() -> list[RunReply]:
    """Return the runs whose plan has time ahead, the next first; of each status the newest 200."""
    pages = [source.list_runs(Listing(SortField.TIME_ADDED, "asc", status), None) for status in _WAITING]
    runs = [run for page in pages for run in page.reply.results]
    planned = [
        (run.carbon.start_at, run) for run in runs if run.carbon and run.carbon.windows and follows_grid(run)
    ]
    return [run for _, run in sorted(planned, key=lambda pair: (pair[0], pair[1].run_id))]
