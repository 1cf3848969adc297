"""The Leaderboard page: which configuration to use, and what one more point of accuracy costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import streamlit as st

from errors import ApiRefused
from schema.leaderboard import CostField, LeaderboardReply, RankField
from views import downloads, parts, source
from views import format as fmt
from views.choosing import ANY, UNNAMED, answer_of, choose_one, named, value_of
from views.compare.choice import MOST
from views.download_links import Offer
from views.leaderboard.charts import COST_NAMES, front_figure
from views.leaderboard.table import show_table
from views.leaderboard.upload import show_upload
from views.live_chart import live_charts
from views.runs import search as runs_search
from views.source import Snapshot

PAGE_SIZE: Final = 200
_SORTS: Final[Mapping[str, RankField]] = {
    "accuracy per kWh": RankField.ACCURACY_PER_KWH,
    "accuracy": RankField.ACCURACY,
    "CO₂": RankField.CO2_G,
    "energy": RankField.ENERGY_KWH,
    "duration": RankField.DURATION_S,
    "parameters": RankField.PARAMETERS,
    "loss": RankField.LAST_LOSS,
    "newest": RankField.ENDED_AT,
}
# What stands in the URL is what is shown.
_PERS: Final = {"every run": "all", "best of each network": "network"}
_COSTS: Final = {name: cost for cost, name in COST_NAMES.items()}
_FILTERS: Final = {"network": "networks", "device": "devices", "project": "projects"}
_MOST_TABS: Final = 5
_LOOK_S: Final = 5
_CURSORS = "leaderboard:cursors"
_QUERY = "leaderboard:query"
_FILES: Final = {"csv": "CSV", "parquet": "Parquet", "json": "JSON"}

Query = dict[str, str]


def show() -> None:
    """Show the page."""
    st.title("Leaderboard")
    query = _wanted()
    if st.session_state.get(_QUERY) != query:
        st.session_state[_QUERY] = query
        st.session_state[_CURSORS] = [""]
    top = st.container()
    answer = answer_of(
        lambda: _fetch(query), otherwise="Show the whole leaderboard", on_otherwise=_forget_filters
    )
    if answer is None or answer[1].datasets or _is_filtered(query):
        # Also where it was refused, to be mended.
        with top:
            runs_search.box("network:resnet9 learning_rate<=0.01 tag:paper")
    if answer is None:
        return
    found, reply = answer
    if not reply.datasets and not _is_filtered(query):
        _empty(reply)
        return
    st.caption(_head(reply))
    _choose(reply)
    with parts.grey_area(found):
        _notes(reply)
        if reply.rows:
            _show_rows(reply)
        else:
            st.info(
                "No finished run fits. Lower the least accuracy, or clear the search or a filter.",
                icon=":material/search_off:",
            )
    _foot(reply, query)
    st.fragment(_watch, run_every=_LOOK_S)(query, reply)
    show_upload()


def _wanted() -> Query:
    """Return the parameters of the ranking that the widgets, or before them the URL, ask for."""
    query = {"limit": str(PAGE_SIZE), "sort": _SORTS[_asked("sort", "accuracy per kWh", _SORTS)].value}
    query["per"] = _PERS[_asked("per", "every run", _PERS)]
    for name in ("dataset", *_FILTERS):
        if (chosen := named(value_of(name))) is not None:
            query[name] = chosen
    if tag := str(value_of("tag") or "").strip():
        query["tag"] = tag
    if q := str(value_of("q") or "").strip():
        query["q"] = q
    try:
        least = value_of("least")
        if least not in (None, ""):
            query["min_accuracy"] = repr(min(1.0, max(0.0, round(float(str(least)) / 100, 9))))
    except ValueError:
        st.query_params.pop("least", None)
    if st.query_params.get("simulated") in ("yes", "no"):
        query["include_simulated"] = "true" if st.query_params["simulated"] == "yes" else "false"
    return query


def _asked(name: str, otherwise: str, known: Mapping[str, object]) -> str:
    value = str(value_of(name) or otherwise)
    return value if value in known else otherwise


def _is_filtered(query: Query) -> bool:
    return bool(query.keys() & {"dataset", "tag", "q", "min_accuracy", *_FILTERS})


def _fetch(query: Query) -> Snapshot[LeaderboardReply]:
    cursor = st.session_state[_CURSORS][-1]
    asked = query | ({"cursor": cursor} if cursor else {})
    return source.fetch(
        "leaderboard", lambda: source.api().get_leaderboard(asked), of=tuple(sorted(asked.items()))
    )


def _head(reply: LeaderboardReply) -> str:
    kind = "" if reply.has_real else " simulated"
    name = next(name for name, field in _SORTS.items() if field is reply.sort)
    best = {"CO₂": "least CO₂", "energy": "least energy", "accuracy": "best accuracy"}.get(name, name)
    return f"Finished{kind} runs of one dataset, by {best}. Accuracy is the best on the held-out test split."


def _choose(reply: LeaderboardReply) -> None:
    """Draw the choices; each is in the URL. They show what was ranked, and the next drawing has the rest."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        of = reply.dataset or UNNAMED
        choose_one("dataset", "Dataset", reply.datasets, of, most_tabs=_MOST_TABS, width=200)
        st.number_input(
            "Least accuracy %",
            min_value=0.0,
            max_value=100.0,
            value=None,
            step=0.5,
            format="%.2f",
            placeholder=f"{100 * reply.min_accuracy:.2f}",
            key="least",
            bind="query-params",
            width=150,
            help="Empty: at most 2 points below the best. Accuracy per kWh alone always favours the smallest "
            "network.",
        )
        st.segmented_control(
            "Show", list(_PERS), default="every run", required=True, key="per", bind="query-params"
        )
        st.selectbox("Sort by", list(_SORTS), key="sort", bind="query-params", width=170)
        with st.popover("More filters", icon=":material/filter_list:", width="content"):
            for name, choices in _FILTERS.items():
                wanted = str(value_of(name) or ANY)
                choices_of = getattr(reply, choices)
                choose_one(name, name.capitalize(), choices_of, wanted, has_any=True, width="stretch")
            st.text_input("Tag", key="tag", bind="query-params")
        st.session_state["leaderboard:simulated"] = reply.include_simulated
        st.toggle(
            "Include simulated",
            key="leaderboard:simulated",
            on_change=_note_simulated,
            help="Runs that were never trained: their figures are made up. They come after all real ones, "
            "and are shown by themselves only while there is no real one.",
        )


def _note_simulated() -> None:
    """Keep the reader's own choice in the URL; until then the API chooses."""
    st.query_params["simulated"] = "yes" if st.session_state["leaderboard:simulated"] else "no"


def _forget_filters() -> None:
    st.query_params.clear()
    st.session_state["q"] = ""


def _notes(reply: LeaderboardReply) -> None:
    """Say what has to be known before any two of the rows are compared."""
    if reply.is_mixed:
        st.warning(
            "Some of these runs measured their energy, others estimated it or do not say how they found it: "
            "the column *Energy is* tells which. Compare within one kind.",
            icon=":material/balance:",
        )
    if reply.include_simulated and any(row.simulated for row in reply.rows):
        st.caption(
            ":material/theater_comedy: Simulated runs were never trained; all of their figures are made up."
            + (" They come after all real ones." if reply.has_real else "")
        )


def _show_rows(reply: LeaderboardReply) -> None:
    with st.container(key="ranking"):
        # Wide enough for the columns up to that of CO₂.
        table, chart = st.columns([1.15, 1])
    with table:
        opened = show_table(reply.rows)
    with chart:
        cost = st.segmented_control(
            "Against",
            list(_COSTS),
            default=COST_NAMES[CostField.CO2_G],
            required=True,
            key="against",
            bind="query-params",
            label_visibility="collapsed",
        )
        opened = live_charts([front_figure(reply, _COSTS[str(cost)])], key="leaderboard:front") or opened
        st.caption(
            "Click a point or a row to open the run. Circles: measured energy; diamonds: estimated or not "
            "said; hollow: simulated."
        )
    if opened is not None:
        parts.go_to("run", {"iid": opened})


def _watch(query: Query, shown: LeaderboardReply) -> None:
    """Look whether anything changed, and draw the page anew then alone.

    The charts keep their zoom. Nothing to press stands in here: it would be drawn anew under the pointer.
    """
    try:
        found = _fetch(query)
    except ApiRefused:
        st.rerun()
    if found.value is not None and found.value != shown:
        st.rerun()
    parts.freshness(found.time, is_live=True, problem=found.problem)


def _foot(reply: LeaderboardReply, query: Query) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        _paging(reply)
        _compare(reply)
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            for kind, label in _FILES.items():
                _download(query, kind, label)


def _compare(reply: LeaderboardReply) -> None:
    best = [row.run_id for row in reply.rows[:MOST]]
    if len(best) > 1 and st.button(
        f"Compare the first {len(best)}",
        icon=":material/compare_arrows:",
        key="leaderboard:compare",
        help="Puts the first runs of this page beside each other.",
    ):
        parts.go_to("compare", {"run": best})


def _download(query: Query, kind: str, label: str) -> None:
    asked = {name: value for name, value in query.items() if name != "limit"}
    path = f"/api/leaderboard/export?{urlencode({**asked, 'format': kind})}"
    note = "All ranked runs, not this page alone."
    offer = Offer("api", path, f"leaderboard.{kind}")
    downloads.button(label, offer, note=note, key=f"leaderboard:download:{kind}")


def _paging(reply: LeaderboardReply) -> None:
    cursors: list[str] = st.session_state[_CURSORS]
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        if reply.rows:
            first, last = reply.rows[0].rank, reply.rows[-1].rank
            total = "1 run" if reply.total == 1 else f"{fmt.count(reply.total)} runs"
            shown = total if last - first + 1 == reply.total else f"{first}–{last} of {total}"
            st.caption(f"{shown} of at least {fmt.percent(reply.min_accuracy)}", width="content")
        if len(cursors) > 1:
            st.button("Back", icon=":material/chevron_left:", on_click=cursors.__delitem__, args=(-1,))
        if reply.cursor:
            st.button("Next", icon=":material/chevron_right:", on_click=cursors.append, args=(reply.cursor,))


def _empty(reply: LeaderboardReply) -> None:
    """Say what makes the page useful."""
    st.info(
        "No run has finished yet. As soon as one is done, it is ranked here by what it achieved for what it "
        "cost." + ("" if reply.include_simulated else " Simulated runs are left out."),
        icon=":material/leaderboard:",
    )
    if st.button("Submit a run", type="primary", icon=":material/add:"):
        parts.go_to("submit")
    show_upload()
