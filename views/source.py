"""What the pages know: answers of the API, shared for a second, and the last one while it is silent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Generic, Literal, TypeVar, cast

import streamlit as st
from pydantic import JsonValue

from carbon_aware_trainer.equivalents import equivalents_of
from client import Client
from errors import ApiError, ApiRefused, ApiUnavailable
from schema import (
    AccountReply,
    AlertsReply,
    ChannelsReply,
    DeliveriesReply,
    EpochsReply,
    Equivalent,
    HealthReply,
    LogReply,
    MetricSummary,
    ModelsReply,
    Note,
    PowerReply,
    Prediction,
    RulesReply,
    RunOptions,
    RunReply,
    RunsReply,
    Series,
    SortField,
    Status,
    TotalsReply,
    TrainersReply,
    WorkersReply,
)
from schema.marks import SavedView
from schema.metrics import CostName
from schema.sweeps import SweepRequest
from settings import load_settings
from views import people

PAGE_SIZE = 200
_CHART_POINTS = 600
# With the second or so between two drawings, what happens to a run is seen within two seconds.
_YOUNG_S = 0.5

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
    q: str = ""
    """A search."""


@dataclass(frozen=True)
class Page:
    """One page of a list of runs."""

    reply: RunsReply


def fetch(name: str, call: Callable[[], T], *, of: Hashable = None) -> Snapshot[T]:
    """Call the API; while it is silent, return this session's last answer to the same question.

    The question is ``name`` and ``of`` what; only the newest answer under a name is kept.
    Raises ApiRefused when the API answers with a 4xx.
    """
    slot = f"snapshot:{name}"
    try:
        snapshot = Snapshot(call(), datetime.now(UTC))
    except ApiUnavailable as error:
        return _last(slot, of, error)
    except ApiRefused as error:
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _last(slot, of, error)
    st.session_state[slot] = (of, snapshot)
    return snapshot


def last_seen(name: str, kind: type[T], *, of: Hashable) -> Snapshot[T]:
    """Return what ``fetch`` returned last to the same question, without asking the API."""
    kept_of, kept = st.session_state.get(f"snapshot:{name}", (None, None))
    if kept_of != of or not isinstance(kept.value, kind):
        return Snapshot(None, datetime.now(UTC))
    return Snapshot(kept.value, kept.time)


def list_runs(listing: Listing, cursor: str | None) -> Page:
    """Return one page of runs. Raises ApiRefused with the reason when the search does not read."""
    return Page(_list_page(listing.sort, listing.order, listing.status, listing.q, cursor))


@st.cache_data(ttl=5, show_spinner=False)
def list_views() -> list[SavedView]:
    """Return the saved views, by name."""
    return api().list_views().views


@st.cache_resource(show_spinner=False)
def api() -> Client:
    """Return the client that all sessions share."""
    settings = load_settings()
    return Client(settings.api_url, token=settings.shown_token, sign=people.sign)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def get_run(iid: str) -> RunReply:
    """Return a run, without its epochs."""
    return api().get_run(iid, fields=())


def version_of(run: RunReply) -> str:
    """Name the state of a run: as long as it is the same, so are its epochs and attempts."""
    return f"{run.status}:{run.attempt}:{run.epochs_done}:{run.duration_s}:{run.recomputations}"


# A resource, not data: ten thousand epochs would be copied every second, and nobody changes them.
@st.cache_resource(ttl=60, max_entries=16, show_spinner=False)
def list_epochs(iid: str, version: str) -> EpochsReply:  # noqa: ARG001 # version is a key of the cache
    """Return the epochs and attempts of a run; they are asked for once per ``version``."""
    return api().list_epochs(iid)


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def get_account(iid: str, version: str) -> AccountReply:  # noqa: ARG001 - version is a key of the cache
    """Return what a run's energy and CO₂ come to, asked for once per ``version``."""
    return api().get_account(iid)


@st.cache_resource(ttl=60, max_entries=16, show_spinner=False)
def list_power(iid: str, version: str) -> PowerReply:  # noqa: ARG001 - version is a key of the cache
    """Return the power of a run over time, asked for once per ``version``."""
    return api().list_power(iid)


@st.cache_data(ttl=10, show_spinner=False)
def predict(hyper_params: Mapping[str, JsonValue], options: RunOptions) -> Prediction:
    """Return what a run would take."""
    return api().predict(hyper_params, options)


@st.cache_data(ttl=10, show_spinner=False)
def predict_sweep(body: Mapping[str, JsonValue]) -> Prediction:
    """Return what all trials of a sweep would take. Raises ValidationError for what is none."""
    return api().predict_sweep(SweepRequest.model_validate(body))


@st.cache_data(ttl=5, show_spinner=False)
def list_totals(by: Literal["day", "project"], days: int) -> TotalsReply:
    """Return what all runs used."""
    return api().list_totals(by=by, days=days)


def equivalents(co2_g: float | None) -> list[Equivalent]:
    """Return what a mass of CO₂ is equivalent to."""
    return [Equivalent(**asdict(found)) for found in equivalents_of(co2_g)]


@st.cache_data(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def list_log(
    iid: str,
    *,
    after: str | None = None,
    before: str | None = None,
    contains: str | None = None,
    limit: int | None = None,
) -> LogReply:
    """Return lines of a run's log, as the API's client does."""
    return api().list_log(iid, after, before=before, contains=contains, limit=limit)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_metrics(iid: str) -> list[MetricSummary]:
    """Return what is known of each metric of a run, by name."""
    return api().list_metrics(iid).names or []


@st.cache_data(ttl=5, max_entries=16, show_spinner=False)
def list_system(iid: str) -> list[MetricSummary]:
    """Return what is known of the metrics of a run's machine, which come every five seconds."""
    return api().list_metrics(iid).names or []


@st.cache_data(ttl=2, max_entries=128, show_spinner=False)
def list_compared(iid: str) -> list[MetricSummary]:
    """Return what is known of each metric of a run that is compared with others."""
    return api().list_metrics(iid).names or []


# A resource, not data: it is shown only, and asked for anew when there are other points.
@st.cache_resource(ttl=60, max_entries=64, show_spinner=False)
def read_metrics(
    iid: str,
    names: tuple[str, ...],
    version: str,  # noqa: ARG001 - version is a key of the cache
    *,
    points: int = _CHART_POINTS,
    cost: CostName | None = None,
) -> Mapping[str, Series]:
    """Return points of metrics, so many as a chart can show."""
    return _read_series(iid, names, points, cost)


def _read_series(
    iid: str, names: tuple[str, ...], points: int, cost: CostName | None
) -> Mapping[str, Series]:
    return api().read_metrics(iid, names, points=points, cost=cost).metrics or {}


# Many runs with many metrics are compared again and again, on each axis.
@st.cache_resource(ttl=3_600, max_entries=400, show_spinner=False)
def read_ended_metrics(
    iid: str,
    names: tuple[str, ...],
    version: str,  # noqa: ARG001 - version is a key of the cache
    *,
    points: int = _CHART_POINTS,
    cost: CostName | None = None,
) -> Mapping[str, Series]:
    """Return points of metrics of a run that has ended; they are kept for an hour."""
    return _read_series(iid, names, points, cost)


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_notes(iid: str) -> list[Note]:
    """Return the notes of a run, oldest first."""
    return api().list_notes(iid).root


@st.cache_data(ttl=10, show_spinner=False)
def list_models(iid: str) -> ModelsReply:
    """Return the saved models of a run. Raises ApiRefused with the reason when it has none."""
    return api().list_models(iid)


@st.cache_data(ttl=1, show_spinner=False)
def get_health() -> HealthReply:
    """Return whether the API can work, and which workers live."""
    return api().get_health()


@st.cache_data(ttl=30, show_spinner=False)
def list_store_warnings() -> list[str]:
    """Return what about the setup of Redis could lose runs."""
    return api().get_health().warnings


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_workers() -> WorkersReply:
    """Return the workers that live, and those that are gone since yesterday."""
    return api().list_workers()


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_rules() -> RulesReply:
    """Return the alert rules, by name."""
    return api().list_rules()


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def list_channels() -> ChannelsReply:
    """Return the channels for alerts."""
    return api().list_channels()


@st.cache_data(ttl=1, show_spinner=False)
def list_alerts() -> AlertsReply:
    """Return what alert rules raised, newest first."""
    return api().list_alerts(limit=200)


@st.cache_data(ttl=1, show_spinner=False)
def list_deliveries() -> DeliveriesReply:
    """Return what became of telling channels, newest first."""
    return api().list_deliveries(limit=200)


def forget() -> None:
    """Ask the API anew for all that changes by itself."""
    for kept in (
        *(get_run, get_health, list_workers, list_notes, list_views, _list_page),
        *(list_rules, list_channels, list_alerts, list_deliveries),
    ):
        kept.clear()


@st.cache_data(ttl=60, show_spinner=False)
def list_trainers() -> TrainersReply:
    """Return the trainers and the schemas of their hyper_params."""
    return api().list_trainers()


@st.cache_data(ttl=_YOUNG_S, show_spinner=False)
def _list_page(
    sort: SortField, order: Literal["asc", "desc"], status: Status | None, q: str, cursor: str | None
) -> RunsReply:
    return api().list_runs(
        sort=sort, order=order, status=status, q=q, limit=PAGE_SIZE, cursor=cursor, fields=("sparkline",)
    )


def _last(slot: str, of: Hashable, problem: ApiError) -> Snapshot[T]:
    kept = cast("tuple[Hashable, Snapshot[T]] | None", st.session_state.get(slot))
    if kept is None or kept[0] != of:
        return Snapshot(None, datetime.now(UTC), problem)
    return Snapshot(kept[1].value, kept[1].time, problem)
