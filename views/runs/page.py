"""The Runs page: what runs, what waits, what each run achieved and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, cast

import streamlit as st

from errors import ApiRefused
from schema import RunReply, RunsReply, Status
from schema.marks import RunColumn
from views import format as fmt
from views import parts, runs_columns, source
from views.runs import bulk, search
from views.runs.search import ALL, SORTS
from views.runs.table import choose_face, read_choice, show_table
from views.source import Listing, Page, Snapshot

Order = Literal["asc", "desc"]

_LIVE_S = 1.5
# A page somebody leaves open must notice a run that the command line submits; costs 8 ms of CPU each time.
_IDLE_S = 10
_TILES: Final = (Status.RUNNING, Status.WAITING, Status.DONE, Status.FAILED)
_STATUSES: Final = (
    *(Status.RUNNING, Status.WAITING, Status.DEFERRED, Status.PAUSED),
    *(Status.DONE, Status.FAILED, Status.CANCELLED),
)
_CURSORS = "runs:cursors"
_LISTING = "runs:listing"


def show() -> None:
    """Show the page."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Runs", width="content")
        if st.button("Submit a run", type="primary", icon=":material/add:"):
            parts.go_to("submit")
    listing, columns = _choose_listing()
    if st.session_state.get(_LISTING) != listing:
        st.session_state[_LISTING] = listing
        st.session_state[_CURSORS] = [None]
    try:
        is_active = _is_active(_fetch(listing))
    except ApiRefused as error:
        search.refused(error)
        return
    st.fragment(_live, run_every=_LIVE_S if is_active else _IDLE_S)(listing, columns, is_active=is_active)


def _choose_listing() -> tuple[Listing, Sequence[RunColumn]]:
    """Draw filter, search, order and columns; each is in the URL."""
    views = search.fetch_views()
    search.open_view_of_link(views)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        status = st.segmented_control(
            "Status",
            [ALL, *(status.value for status in _STATUSES)],
            default=ALL,
            required=True,
            key="status",
            bind="query-params",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            sort, order = _choose_order()
    with st.container(horizontal=True, vertical_alignment="center"):
        q = search.box()
        place = st.container(horizontal=True, vertical_alignment="center", width="content")
    listing = Listing(
        sort=SORTS[sort],
        order=order,
        status=None if status in (None, ALL) else Status(status),
        q=q,
    )
    with place:
        columns = runs_columns.choose()
        search.menu(views, listing, columns)
    return listing, columns


def _choose_order() -> tuple[str, Order]:
    sort = st.selectbox(
        "Sort by", list(SORTS), key="sort", bind="query-params", label_visibility="collapsed", width=130
    )
    order = st.segmented_control(
        "Order",
        ["desc", "asc"],
        default="desc",
        required=True,
        key="order",
        bind="query-params",
        label_visibility="collapsed",
    )
    return str(sort), cast("Order", order)


def _fetch(listing: Listing) -> Snapshot[Page]:
    cursor = st.session_state[_CURSORS][-1]
    return source.fetch("runs", lambda: source.list_runs(listing, cursor), of=(listing, cursor))


def _is_active(runs: Snapshot[Page]) -> bool:
    if runs.problem is not None or runs.value is None:
        return True
    counts = runs.value.reply.counts
    return bool(counts.get(Status.RUNNING, 0) or counts.get(Status.WAITING, 0))


def _live(listing: Listing, columns: Sequence[RunColumn], *, is_active: bool) -> None:
    """Draw what changes: tiles, table, paging."""
    try:
        runs = _fetch(listing)
    except ApiRefused:
        # Of a field that the last run had which is gone: the whole page says so.
        st.rerun()
    if _is_active(runs) != is_active:
        st.rerun()
    parts.silence_banner(runs.problem)
    if runs.value is None:
        return
    reply = runs.value.reply
    parts.store_warnings(source.fetch("store", source.list_store_warnings).value)
    with parts.grey_area(runs):
        _tiles(reply)
        if reply.counts.get(Status.WAITING, 0):
            health = source.fetch("health", source.get_health)
            parts.no_worker_hint(health.value, waiting=reply.counts[Status.WAITING])
        if listing.status is Status.FAILED and reply.results:
            _failed_head(reply)
        bulk.outcome()
        if reply.results:
            _table(listing, columns, reply)
        else:
            _empty(runs.value, listing)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        _paging(runs.value, listing)
        parts.freshness(runs.time, is_live=is_active, problem=runs.problem)


def _tiles(reply: RunsReply) -> None:
    counts = reply.counts
    real = [run for run in reply.results if not run.simulated]
    columns = parts.tiles(len(_TILES) + 1, "runs")
    for column, status in zip(columns, _TILES, strict=False):
        column.metric(status.value.capitalize(), fmt.count(counts.get(status, 0)), border=True)
    columns[-1].metric(
        "CO₂ of the runs below",
        fmt.co2(_sum([run.co2_g for run in real])),
        border=True,
        help=_energy_note(real) + (" Simulated runs do not count." if len(real) < len(reply.results) else ""),
    )


def _energy_note(runs: Sequence[RunReply]) -> str:
    """Say how much energy stands behind the sum, and what is not in it."""
    note = f"Energy of the runs below: {fmt.energy(_sum([run.energy_kwh for run in runs]))}."
    unknown = sum(run.unknown_energy_epochs > 0 for run in runs)
    if unknown:
        note += f" Without {'one run' if unknown == 1 else f'{fmt.count(unknown)} runs'} of unknown energy."
    return note


def _sum(values: Sequence[float | None]) -> float | None:
    """Add what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _failed_head(reply: RunsReply) -> None:
    """Say what the failed runs are here for."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(
            "These have used up their tries, or would fail again as they are. Open one for its reason; "
            "mark some to retry or delete them.",
            width="content",
        )
        bulk.retry_all(reply.counts.get(Status.FAILED, 0))


def _table(listing: Listing, columns: Sequence[RunColumn], reply: RunsReply) -> None:
    key = f"{listing.sort}:{listing.order}:{listing.status}:{listing.q}:{_visit()}"
    choice = read_choice(reply.results, key=key)
    if choice.opened is not None:
        _forget_choice()
        parts.go_to("run", {"iid": choice.opened})
    show_table(reply.results, key=key, face=choose_face(listing.status), chosen=columns)
    # Below: above, it would push the table away from under the pointer with the first mark.
    bulk.bar([run for run in reply.results if run.run_id in choice.marked], _forget_choice)


def _forget_choice() -> None:
    st.session_state["runs:visit"] = _visit() + 1


def _visit() -> int:
    """Number the table anew after each click, so that coming back does not open the same run again."""
    return int(st.session_state.get("runs:visit", 0))


def _empty(page: Page, listing: Listing) -> None:
    """Say what to do when there is nothing to show."""
    if sum(page.reply.counts.values()) == 0:
        st.info("No runs yet. Submit the first one; the defaults make a good start.", icon=":material/spa:")
        return
    is_filtered = listing.status is not None or listing.q
    text = "No runs match." if is_filtered else "Nothing on this page."
    st.info(f"{text} Clear the filter, or submit a run.", icon=":material/search_off:")


def _paging(page: Page, listing: Listing) -> None:
    """Say which runs are shown, and go back and forth by the API's cursor."""
    reply = page.reply
    cursors: list[str | None] = st.session_state[_CURSORS]
    first = (len(cursors) - 1) * source.PAGE_SIZE
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        if reply.results:
            shown = _range(first, reply)
            st.caption(f"{shown} · click a row to open it, its box to mark it", width="content")
        if reply.results and (listing.q or listing.status):
            bulk.all_matching(listing, reply.total)
        if len(cursors) > 1:
            st.button(
                "Newer",
                icon=":material/chevron_left:",
                key="runs:newer",
                on_click=cursors.__delitem__,
                args=(-1,),
            )
        if reply.cursor:
            st.button(
                "Older",
                icon=":material/chevron_right:",
                key="runs:older",
                on_click=cursors.append,
                args=(reply.cursor,),
            )


def _range(first: int, reply: RunsReply) -> str:
    if reply.total == len(reply.results):
        return "1 run" if reply.total == 1 else f"{fmt.count(reply.total)} runs"
    return f"{fmt.count(first + 1)}–{fmt.count(first + len(reply.results))} of {fmt.count(reply.total)} runs"
