"""What the pages know of files, histograms, models and what is kept of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import streamlit as st
from pydantic import ValidationError

from schema import (
    Artifact,
    ArtifactsReply,
    HistogramSeries,
    Kind,
    LineageReply,
    ModelVersion,
    RunModelsReply,
)
from schema.artifacts import Graph
from views.histograms import merge
from views.source import api

_PAGE: Final = 200
_MOST_PAGES: Final = 5
# Of 500 versions each: more than the API keeps.
_MOST_VERSION_PAGES: Final = 30
_YOUNG_S: Final = 2
# What never changes, as long as somebody is likely to look at it again.
_KEPT_S: Final = 600


@dataclass(frozen=True)
class Files:
    """Artifacts of a run, newest first; ``is_cut`` when there are older ones."""

    artifacts: tuple[Artifact, ...]
    is_cut: bool


@st.cache_data(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def list_files(iid: str, kind: Kind) -> Files:
    """Return the newest thousand artifacts of a kind."""
    page = api().list_artifacts(iid, kind=kind, limit=_PAGE)
    found = list(page.artifacts)
    for _ in range(_MOST_PAGES - 1):
        if page.next_cursor is None:
            break
        page = _list_older(iid, kind, page.next_cursor)
        found += page.artifacts
    return Files(tuple(found), page.next_cursor is not None)


@st.cache_resource(ttl=_KEPT_S, max_entries=64, show_spinner=False)
def fetch_image(iid: str, name: str, version: int, sha256: str) -> bytes:  # noqa: ARG001 - a name may begin anew with another run
    """Return a picture; the newest ones that were looked at are kept."""
    return api().fetch_artifact(iid, name, version)


@st.cache_resource(ttl=_KEPT_S, max_entries=16, show_spinner=False)
def fetch_graph(iid: str, name: str, version: int, sha256: str) -> Graph | None:  # noqa: ARG001 - as above
    """Return the layers of a network; None for what a newer version of Wattle has written."""
    try:
        return Graph.model_validate_json(api().fetch_artifact(iid, name, version))
    except ValidationError:
        return None


@st.cache_data(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def list_histograms(iid: str) -> Mapping[str, int]:
    """Return the names of the histograms of a run, and how many came of each."""
    return api().list_histograms(iid).counts or {}


class _HistogramShelf:
    """What is known of a histogram; of many sessions at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.series: HistogramSeries | None = None


@st.cache_resource(ttl=_KEPT_S, max_entries=64, show_spinner=False)
def _histogram_shelf(iid: str, name: str) -> _HistogramShelf:  # noqa: ARG001 - keys of the cache
    return _HistogramShelf()


def read_histogram(iid: str, name: str, count: int) -> HistogramSeries | None:
    """Return one histogram of every step; only what came since is asked for. count: how many came."""
    shelf = _histogram_shelf(iid, name)
    with shelf.lock:
        # Fewer than before: it is not the run that it was.
        known = shelf.series if shelf.count <= count else None
        if known is None or shelf.count < count:
            after = max(known.numbers, default=0) if known else 0
            news = (api().read_histograms(iid, [name], after=after).histograms or {}).get(name)
            shelf.series = merge(known, news) if known and news else news
            shelf.count = count
        return shelf.series


@st.cache_data(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def list_run_models(iid: str) -> RunModelsReply:
    """Return the checkpoints and models of a run, and what was registered of them."""
    return api().list_run_models(iid)


@st.cache_data(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def get_lineage(iid: str) -> LineageReply:
    """Return which models a run used, which it made, and so on."""
    return api().get_lineage(iid)


@dataclass(frozen=True)
class Versions:
    """Versions of models, newest first; ``is_cut`` when there are older ones."""

    models: tuple[ModelVersion, ...]
    is_cut: bool


# A resource, not data: there may be thousands, and nobody changes them.
@st.cache_resource(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def list_versions(name: str | None = None) -> Versions:
    """Return all versions of one or of all models: what is said of a list that ends early may be wrong."""
    page = api().list_versions(name=name)
    found = list(page.models)
    for _ in range(_MOST_VERSION_PAGES - 1):
        if page.next_cursor is None:
            break
        page = api().list_versions(name=name, cursor=page.next_cursor)
        found += page.models
    return Versions(tuple(found), page.next_cursor is not None)


@st.cache_data(ttl=_YOUNG_S, max_entries=64, show_spinner=False)
def next_version(name: str) -> int | None:
    """Return the number of the next version of a model; None where the API is too old to tell."""
    return api().list_versions(name=name).next_version


def forget() -> None:
    """Ask the API anew for what somebody here has just changed."""
    for kept in (list_files, list_run_models, get_lineage, list_versions, next_version):
        kept.clear()


@st.cache_data(ttl=60, max_entries=256, show_spinner=False)
def _list_older(iid: str, kind: Kind, cursor: str) -> ArtifactsReply:
    return api().list_artifacts(iid, kind=kind, limit=_PAGE, cursor=cursor)
