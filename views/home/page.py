"""The Home page: what runs, what has ended since the last visit, what it costs, what needs attention."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import streamlit as st

from schema import Status
from schema.home import HomeReply, WeekGrams
from views import format as fmt
from views import parts, source
from views.home import lists
from views.home import side as home_side
from views.home.last_visit import last_visit, note_visit
from views.source import Snapshot

_LIVE_S: Final = 2
_IDLE_S: Final = 10
# What the list of runs had in its address while it was the first page.
_OF_RUNS: Final = frozenset({"status", "search", "q", "view", "sort", "order"})


def show() -> None:
    """Show the page."""
    if _OF_RUNS & set(st.query_params):
        asked = st.query_params.to_dict()
        parts.go_to("runs", {"q" if name == "search" else name: value for name, value in asked.items()})
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Home", width="content")
        if st.button("Submit a run", type="primary", icon=":material/add:"):
            parts.go_to("submit")
    since = last_visit()
    note_visit()
    found = _fetch(since)
    is_fresh = found.value is not None and not sum(found.value.counts.values())
    with st.container(key="home"):
        main, side = (st.container(), None) if is_fresh else st.columns([2.2, 1], gap="large")
    is_active = _is_active(found)
    with main:
        st.fragment(_live, run_every=_LIVE_S if is_active else _IDLE_S)(
            since, is_active=is_active, is_fresh=is_fresh, is_known=found.value is not None
        )
    if found.value is not None and side is not None:
        with side:
            home_side.show(found.value)


@st.cache_data(ttl=1, max_entries=64, show_spinner=False)
def _get(since: datetime | None, zone: str) -> HomeReply:
    return source.api().get_home(since=since, timezone=zone)


def _fetch(since: datetime | None) -> Snapshot[HomeReply]:
    zone = str(parts.reader_zone())
    return source.fetch("home", lambda: _get(since, zone), of=(since, zone))


def _is_active(found: Snapshot[HomeReply]) -> bool:
    if found.problem is not None or found.value is None:
        return True
    return any(found.value.counts.get(status, 0) for status in (Status.RUNNING, Status.WAITING))


def _live(since: datetime | None, *, is_active: bool, is_fresh: bool, is_known: bool) -> None:
    """Draw what changes."""
    found = _fetch(since)
    reply = found.value
    is_other = reply is not None and (not is_known or is_fresh == bool(sum(reply.counts.values())))
    if is_other or _is_active(found) != is_active:
        # What stands beside the lists, and how often they are drawn, is for the whole page.
        st.rerun()
    parts.silence_banner(found.problem)
    if reply is None:
        return
    with parts.grey_area(found):
        if is_fresh:
            lists.first_steps(reply)
        else:
            _overview(reply, is_first_visit=since is None)
    parts.freshness(found.time, is_live=is_active, problem=found.problem)


def _overview(reply: HomeReply, *, is_first_visit: bool) -> None:
    lists.notices(reply)
    tiles = parts.tiles(4, "home")
    tiles[0].metric("Running", fmt.count(reply.counts.get(Status.RUNNING, 0)), border=True, height="stretch")
    tiles[1].metric("Waiting", fmt.count(reply.counts.get(Status.WAITING, 0)), border=True, height="stretch")
    tiles[2].metric(
        "Done since then" if not is_first_visit else "Done in 24 h",
        fmt.count(reply.ended_counts.get(Status.DONE, 0)),
        border=True,
        height="stretch",
    )
    label, value, delta, note = week_tile(reply.week)
    tiles[3].metric(
        label,
        value,
        delta=delta,
        delta_color="inverse",
        help=note,
        border=True,
        height="stretch",
    )
    lists.running(reply)
    lists.ended(reply, is_first_visit=is_first_visit)


def week_tile(week: WeekGrams) -> tuple[str, str, str | None, str]:
    """Return label, value, the change against last week, and what is counted."""
    change = None
    before = week.last_co2_g_by_then
    if week.co2_g is not None and before:
        difference = week.co2_g - before
        sign = "-" if difference < 0 else "+"
        change = f"{sign}{fmt.co2(abs(difference))} against last week"
    note = (
        f"All real runs since Monday; days are counted in UTC. Last week: {fmt.co2(before)} by the same "
        f"weekday, {fmt.co2(week.last_co2_g)} in all."
    )
    if week.unknown_epochs:
        note += f" Without {fmt.count(week.unknown_epochs)} epochs of unknown CO₂."
    return "CO₂ this week", fmt.co2(week.co2_g), change, note
