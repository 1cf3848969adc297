"""The Workers page: which machines train, on what, at which power; and what became of those that are gone."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from errors import ApiError
from schema import WorkerReply, WorkersReply
from views import commands, may, parts, source
from views import format as fmt
from views.source import Snapshot
from views.workers import card

_LIVE_S = 1.5
_ABREAST = 3
_TOLD_GONE = 20
_REFUSED = "workers:refused"


def show() -> None:
    """Show the page."""
    st.title("Workers")
    st.fragment(_live, run_every=_LIVE_S)()


def _live() -> None:
    """Draw the workers, and again every moment: a heartbeat is always young or worth a look."""
    workers = source.fetch("workers", source.list_workers)
    parts.silence_banner(workers.problem)
    if workers.value is None:
        return
    live = [worker for worker in workers.value.workers if worker.is_live]
    gone = [worker for worker in workers.value.workers if not worker.is_live]
    parts.store_warnings(source.fetch("store", source.list_store_warnings).value)
    with parts.grey_area(workers):
        if live:
            _head(live, workers)
            _cards(live)
        else:
            _nobody(workers)
        if gone:
            _gone(gone)


def _head(live: Sequence[WorkerReply], workers: Snapshot[WorkersReply]) -> None:
    """Say in one line how many there are and what they draw together."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(summary(live), width="content")
        parts.freshness(workers.time, is_live=True, problem=workers.problem)


def summary(live: Sequence[WorkerReply]) -> str:
    """Count the workers and their runs, and add up the power that is known."""
    busy = sum(map(card.trains, live))
    text = f"**{len(live)}** {'worker' if len(live) == 1 else 'workers'}, {busy} busy"
    known = [worker.power_w for worker in live if worker.power_w is not None]
    if known:
        text += f" · {fmt.significant(sum(known))} W together"
        if len(known) < len(live):
            text += f", without {len(live) - len(known)} of unknown power"
    return text


def _cards(live: Sequence[WorkerReply]) -> None:
    history = card.remember(live)
    for start in range(0, len(live), _ABREAST):
        for column, worker in zip(st.columns(_ABREAST), live[start : start + _ABREAST], strict=False):
            with column.container(border=True, height="stretch", key=f"worker:{worker.worker_id}"):
                card.show(worker, history.get(worker.worker_id, ()))
                _drain_button(worker)


def _drain_button(worker: WorkerReply) -> None:
    """Draw the switch between taking runs and finishing up."""
    label, icon, hint = (
        ("Take runs again", ":material/play_circle:", "Withdraws the drain.")
        if worker.is_draining
        else ("Drain", ":material/water_drop:", "It finishes its run, takes no other one and then ends.")
    )
    key = f"drain:{worker.worker_id}"
    st.button(
        label,
        icon=icon,
        help=hint,
        key=key,
        disabled=not may.can_administer(),
        on_click=_switch_drain,
        args=(worker,),
    )
    name, reason = st.session_state.get(_REFUSED, (None, ""))
    if name == worker.worker_id:
        parts.field_error(reason)


def _switch_drain(worker: WorkerReply) -> None:
    st.session_state.pop(_REFUSED, None)
    try:
        commands.drain_worker(worker.worker_id, is_draining=not worker.is_draining)
    except ApiError as error:
        st.session_state[_REFUSED] = (worker.worker_id, str(error))


def _nobody(workers: Snapshot[WorkersReply]) -> None:
    parts.freshness(workers.time, is_live=True, problem=workers.problem)
    st.info(
        "No worker is alive. Start one with `python worker.py`, or one for each GPU of this machine with "
        "`python worker.py --gpus all`. It shows up here within seconds.",
        icon=":material/engineering:",
    )


def _gone(gone: Sequence[WorkerReply]) -> None:
    st.subheader("Gone in the last 24 hours", anchor=False)
    for worker in gone[:_TOLD_GONE]:
        with st.container(border=True, key=f"gone:{worker.worker_id}"):
            card.show_gone(worker)
    if len(gone) > _TOLD_GONE:
        st.caption(f"And {fmt.count(len(gone) - _TOLD_GONE)} more before them.")
