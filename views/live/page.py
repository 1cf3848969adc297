"""The Live page: what a training loop sends, or what a run of the queue shows, as it happens."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from errors import ApiError
from schema import RunReply, Status
from settings import load_settings
from views import format as fmt
from views import parts, source
from views.look import run_name, short_id
from views.source import Listing

_HEIGHT_PX = 570
_CHOICE = "live:choice"
_ANY_SCRIPT = ""


def show() -> None:
    """Show the page."""
    st.title("Live")
    iid = _choose_run()
    try:
        address = _address(iid)
    except ApiError as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        st.button("Try again", icon=":material/refresh:")
        return
    with st.container(key="live"):
        st.iframe(address, height=_HEIGHT_PX)
    st.caption(
        "Any script can send its batches here: `POST /rpc/batch_update`, see "
        "`examples/training_client.py`. A run of the queue sends its losses and images while it is watched."
    )


def link(run: RunReply) -> None:
    """Draw the link from a run's page to its live view, as long as there is something to see."""
    if not run.status.is_final:
        st.page_link(
            parts.page("live"),
            label="Watch live",
            icon=":material/grid_view:",
            query_params={"iid": run.run_id},
        )


def _choose_run() -> str | None:
    """Draw the select box of what to watch; None for what scripts send."""
    runs = source.fetch("live:runs", lambda: source.list_runs(Listing(status=Status.RUNNING), None))
    titles = {_ANY_SCRIPT: "What scripts send"}
    titles |= {run.run_id: run_name(run) for run in (runs.value.reply.results if runs.value else ())}
    wanted = st.query_params.get("iid", _ANY_SCRIPT)
    options = list(titles) if wanted in titles else [*titles, wanted]
    st.session_state[_CHOICE] = wanted
    st.selectbox(
        "What to watch",
        options,
        format_func=lambda iid: titles.get(iid, f"run {short_id(iid)}"),
        key=_CHOICE,
        on_change=_remember_choice,
        label_visibility="collapsed",
        icon=":material/grid_view:",
    )
    return wanted or None


def _remember_choice() -> None:
    if chosen := st.session_state[_CHOICE]:
        st.query_params["iid"] = chosen
    else:
        st.query_params.pop("iid", None)


def _address(iid: str | None) -> str:
    """Return the address of the live page with a ticket of its own: it opens once.

    Raises ApiError when the API gives none.
    """
    query = {"ticket": source.api().issue_live_ticket(iid).ticket, "theme": st.context.theme.type or "light"}
    if iid is not None:
        query["run_id"] = iid
    return f"{load_settings().effective_live_url}/live?{urlencode(query)}"
