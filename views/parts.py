"""Parts that several pages show: the freshness line, the banner of a silent API, pills and badges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import Page
from streamlit.runtime.scriptrunner import get_script_run_ctx

from errors import ApiError, ApiUnavailable
from schema import HealthReply, Run
from views import format as fmt
from views.actions import ARCHIVED, doing
from views.look import SIMULATED, SIMULATED_COLOR, SIMULATED_ICON, STATUS_COLORS, STATUS_ICONS
from views.page_changes import refuse_late_parts, want
from views.source import Snapshot

_PAGES = "pages"
_NOTICE = "notice"
_STYLE = Path(__file__).with_name("static") / "site.css"


def page_style() -> None:
    """Add the few rules that the theme has no setting for."""
    st.html(_STYLE)


def register_pages(pages: Mapping[str, Page]) -> None:
    """Make the pages known to the links between them."""
    refuse_late_parts()
    st.session_state[_PAGES] = dict(pages)


def page(name: str) -> Page:
    """Return a page to link to."""
    pages: dict[str, Page] = st.session_state[_PAGES]
    return pages[name]


def go_to(name: str, query_params: Mapping[str, str | Sequence[str]] | None = None) -> NoReturn:
    """Leave this page for another one; see docs/decisions/040 for what goes first.

    Its timers run on in the browser until that has heard of the new page. What they ask for by then would be
    drawn as a part of the old page, on top of the new one: an empty page.
    """
    context = get_script_run_ctx()
    if context is not None:
        context.fragment_storage.clear()
    want(page(name))
    st.switch_page(page(name), query_params=query_params)


def give_notice(text: str, *, icon: str = ":material/check_circle:") -> None:
    """Say something once, on whatever page is drawn next."""
    st.session_state[_NOTICE] = (text, icon)


def show_notice() -> None:
    """Show what the last page wanted to be said."""
    if notice := st.session_state.pop(_NOTICE, None):
        text, icon = notice
        st.toast(text, icon=icon)


def reader_zone() -> tzinfo:
    """Return the time zone of the reader's browser, UTC when it does not say."""
    name = st.context.timezone
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def near_time(time: datetime) -> str:
    """Write a time in the reader's zone: Sat 14:00, with its date where that is days away."""
    zone = reader_zone()
    shown, today = time.astimezone(zone), datetime.now(zone)
    return f"{shown:%a %H:%M}" if abs((shown.date() - today.date()).days) < 6 else f"{shown:%d %b %H:%M}"


def field_error(message: str) -> None:
    """Say below a field why its value is not accepted."""
    st.markdown(f":small[:red[:material/error: {fmt.plain(message)}]]")


def tiles(count: int, name: str) -> Sequence[DeltaGenerator]:
    """Make room for figures side by side, two abreast on a phone; a second row needs a ``name``."""
    with st.container(key=f"tiles-{name}"):
        return st.columns(count)


def run_pill(run: Run, place: DeltaGenerator) -> None:
    """Show the status of a run as its word in its colour, or what it is about to do because it was asked."""
    if run.request:
        place.badge(f"{doing(run)} …", icon=":material/pending:", color="orange")
    else:
        place.badge(run.status.value, icon=STATUS_ICONS[run.status], color=STATUS_COLORS[run.status])


def archived_pill() -> None:
    """Show that a run cannot be changed as it is."""
    st.badge(
        ARCHIVED,
        icon=":material/inventory_2:",
        color="gray",
        help="It was moved to the archive: nothing of it can be changed until it is restored.",
    )


def simulated_pill() -> None:
    """Show that nothing of a run is real."""
    st.badge(
        SIMULATED,
        icon=SIMULATED_ICON,
        color=SIMULATED_COLOR,
        help="Nothing was trained: every figure of this run is made up, its energy and CO₂ too.",
    )


def freshness(time: datetime, *, is_live: bool, problem: ApiError | None) -> None:
    """Show whether the page updates itself, and when it last did."""
    with st.container(horizontal=True, vertical_alignment="center", key="freshness", width="content"):
        if problem is not None:
            st.badge("reconnecting", icon=":material/sync_problem:", color="orange")
        elif is_live:
            st.badge("live", icon=":material/sensors:", color="green", help="Updates by itself.")
        else:
            st.badge("idle", icon=":material/bedtime:", color="gray", help="Nothing is running or waiting.")
        st.caption(f"updated {fmt.clock(time, reader_zone())}", width="content")


def silence_banner(problem: ApiError | None) -> None:
    """Say calmly that the API does not answer and how to start it; nothing when it does."""
    if problem is None:
        return
    if isinstance(problem, ApiUnavailable):
        cause = "**The API does not answer.**"
        remedy = "Start it with `python backend.py`, or everything at once with `make up`."
    else:
        cause, remedy = "**The API cannot work right now.**", fmt.plain_lines(str(problem))
    st.warning(
        f"{cause} {remedy} Queued runs are safe, and this page goes on by itself as soon as it answers.",
        icon=":material/cloud_off:",
    )


def store_warnings(warnings: Sequence[str] | None) -> None:
    """Say quietly what about the setup of Redis could lose runs; nothing when it is well or not known."""
    if not warnings:
        return
    with st.container(border=True, key="store-warnings"):
        for warning in warnings:
            st.caption(f":orange[:material/database:] {fmt.plain(warning)}")


def grey_area(snapshot: Snapshot[object]) -> DeltaGenerator:
    """Make room for what is grey when it is old news."""
    return st.container(key="stale" if snapshot.problem else "fresh")


def no_worker_hint(health: HealthReply | None, *, waiting: int) -> None:
    """Say how to start a worker when runs wait and none is alive."""
    if health is None or health.workers or waiting == 0:
        return
    runs = "One run is" if waiting == 1 else f"{fmt.count(waiting)} runs are"
    st.info(
        f"{runs} waiting and no worker is alive. Start one with `python worker.py`.",
        icon=":material/engineering:",
    )
