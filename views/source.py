"""What the pages know: answers of the API, shared for a second, and the last one while it is silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Generic, Literal, TypeVar, cast

import streamlit as st

from client import Client
from errors import ApiError, ApiRefused, ApiUnavailable
from schema import EpochsReply, HealthReply, LogReply, RunReply, RunsReply, SortField, Status, TrainersReply
from settings import load_settings

PAGE_SIZE = 200
_SEARCHED_PAGES = 5

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Snapshot(Generic[T_co]):
    """An answer of the API and its time; with ``problem``, the last one before it went silent, or None."""

    value: T_co | None
    time: datetime
    problem: ApiError | None = None


@dataclass(frozen=True)
class Listing:
    """Which runs a list shows, and in which order."""

    sort: SortField = SortField.TIME_ADDED
    order: Literal["asc", "desc"] = "desc"
    status: Status | None = None
    words: tuple[str, ...] = ()


def fetch(name: str, call: Callable[[], T]) -> Snapshot[T]:
    """Call the API; while it is silent, return the last answer of this session under ``name``.

    Raises ApiRefused when the API answers with a 4xx.
    """
    slot = f"snapshot:{name}"
    try:
        snapshot = Snapshot(call(), datetime.now(UTC))
    except ApiUnavailable as error:
        return _last(slot, error)
    except ApiRefused as error:
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _last(slot, error)
    st.session_state[slot] = snapshot
    return snapshot


def list_runs(listing: Listing, cursor: str | None) -> RunsReply:
    """Return one page of runs; with words, the newest matching ones among the first thousand."""
    if not listing.words:
        return _list_page(listing.sort, listing.order, listing.status, cursor)
    page = first = _list_page(listing.sort, listing.order, listing.status, None)
    found = [run for run in first.results if matches(run, listing.words)]
    for _ in range(_SEARCHED_PAGES - 1):
        if page.cursor is None or len(found) >= PAGE_SIZE:
            break
        page = _list_page(listing.sort, listing.order, listing.status, page.cursor)
        found += [run for run in page.results if matches(run, listing.words)]
    return first.model_copy(update={"results": found[:PAGE_SIZE], "cursor": None, "total": len(found)})


def matches(run: RunReply, words: tuple[str, ...]) -> bool:
    """Tell whether each word occurs in the run's id, hyper_params, queue or tags."""
    values = [run.run_id, run.options.queue, *run.options.tags, *map(str, run.hyper_params.values())]
    text = " ".join(values).lower()
    return all(word in text for word in words)


@st.cache_resource(show_spinner=False)
def api() -> Client:
    """Return the client that all sessions share."""
    return Client(load_settings().api_url)


@st.cache_data(ttl=1, show_spinner=False)
def get_run(iid: str) -> RunReply:
    """Return a run."""
    return api().get_run(iid)


@st.cache_data(ttl=1, show_spinner=False)
def list_epochs(iid: str) -> EpochsReply:
    """Return the epochs and attempts of a run."""
    return api().list_epochs(iid)


@st.cache_data(ttl=1, show_spinner=False)
def list_log(iid: str) -> LogReply:
    """Return the newest lines of a run's log."""
    return api().list_log(iid)


@st.cache_data(ttl=1, show_spinner=False)
def get_health() -> HealthReply:
    """Return whether the API can work, and which workers live."""
    return api().get_health()


@st.cache_data(ttl=60, show_spinner=False)
def list_trainers() -> TrainersReply:
    """Return the trainers and the schemas of their hyper_params."""
    return api().list_trainers()


@st.cache_data(ttl=1, show_spinner=False)
def _list_page(
    sort: SortField, order: Literal["asc", "desc"], status: Status | None, cursor: str | None
) -> RunsReply:
    return api().list_runs(
        sort=sort, order=order, status=status, limit=PAGE_SIZE, cursor=cursor, fields=("sparkline",)
    )


def _last(slot: str, problem: ApiError) -> Snapshot[T]:
    last = cast("Snapshot[T] | None", st.session_state.get(slot))
    if last is None:
        return Snapshot(None, datetime.now(UTC), problem)
    return Snapshot(last.value, last.time, problem)
