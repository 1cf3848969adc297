"""The lists of the Home page: what needs attention, what runs, what has ended; and the first steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import streamlit as st

from schema import RunReply, Status
from schema.home import HomeReply, Notice, NoticeKind
from views import format as fmt
from views import parts
from views.look import SIMULATED, STATUS_ICONS, run_title, short_id

_ICONS: Final[Mapping[NoticeKind, str]] = {
    "store": ":material/database:",
    "stuck": ":material/hourglass_disabled:",
    "failed": ":material/error:",
    "worker": ":material/memory:",
    "alert": ":material/notifications_active:",
}
_SDK: Final = """from training_monitor import TrainingMonitor

with TrainingMonitor("my experiment") as monitor:
    monitor.log_metrics({"loss": 0.1}, step=1)"""


def notices(reply: HomeReply) -> None:
    """Draw what needs attention, each with where to look; say so when nothing does."""
    if not reply.notices:
        st.caption(":material/check_circle: Nothing needs your attention.")
        return
    with st.container(border=True, key="home-notices"):
        st.markdown("**Needs attention**")
        for notice in reply.notices:
            text, link = st.columns([3.2, 1], vertical_alignment="center")
            text.markdown(f":orange[{_ICONS[notice.kind]}] {fmt.plain(notice.text)}")
            with link:
                _link(notice)


def _link(notice: Notice) -> None:
    """Lead to where something can be done."""
    is_one = notice.count == 1 and notice.run_id is not None
    page, label, query = {
        "failed": ("runs", "See what failed", {"status": "failed"}),
        "stuck": ("runs", "See what waits", {"status": "waiting"}),
        "worker": ("workers", "See who works", {}),
        "alert": ("alerts", "See the alerts", {}),
        "store": ("", "", {}),
    }[notice.kind]
    if notice.kind == "failed" and is_one:
        page, label, query = "run", "See why", {"iid": str(notice.run_id)}
    if page:
        st.page_link(
            parts.page(page), label=label, icon=":material/arrow_forward:", icon_position="right",
            query_params=query,
        )  # fmt: skip


def running(reply: HomeReply) -> None:
    """Draw the runs that train, with how far they are."""
    st.subheader("Running now", anchor=False)
    if not reply.running:
        waiting = reply.counts.get(Status.WAITING, 0)
        st.caption(f"Nothing runs; {fmt.count(waiting)} waiting." if waiting else "Nothing runs.")
    for run in reply.running:
        with st.container(border=True, key=f"home-run-{run.run_id}"):
            _run_link(run, ":material/play_circle:")
            text = progress_text(run, reply.remaining_s.get(run.run_id))
            if run.progress is None:
                st.caption(text)
            else:
                st.progress(run.progress, text=text)
    _more(reply.counts.get(Status.RUNNING, 0) - len(reply.running), "running")


def progress_text(run: RunReply, remaining_s: float | None) -> str:
    """Say how far a run is, how accurate, and how long it will take."""
    parts_of = [f"Epoch {run.epochs_done}" + (f" of {run.num_epochs}" if run.num_epochs else "")]
    if run.best_accuracy is not None:
        parts_of.append(f"best {fmt.percent(run.best_accuracy)}")
    if run.is_external:
        parts_of[0] = "Reported by its own script"
    if remaining_s is not None:
        parts_of.append(f"about {fmt.duration(remaining_s)} left")
    return " · ".join(parts_of)


def ended(reply: HomeReply, *, is_first_visit: bool) -> None:
    """Draw the runs that have ended since the last visit."""
    heading = "Ended in the last 24 hours" if is_first_visit else "Ended since you were here"
    st.subheader(heading, anchor=False, help=None if is_first_visit else _since(reply.since))
    if not reply.ended:
        st.caption("No run has ended since then.")
    now = datetime.now(UTC)
    for run in reply.ended:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            _run_link(run, STATUS_ICONS[run.status])
            st.caption(ended_text(run, now), width="content")
    total = sum(reply.ended_counts.values())
    _more(total - len(reply.ended), None)


def ended_text(run: RunReply, now: datetime) -> str:
    """Say how a run has ended, what it achieved and what for."""
    words = [run.status.value]
    if run.best_accuracy is not None:
        words.append(fmt.percent(run.best_accuracy))
    if run.co2_g is not None:
        words.append(fmt.co2(run.co2_g))
    return " · ".join([*words, fmt.ago(run.ended_at, now)])


def first_steps(reply: HomeReply) -> None:
    """Say what to do first where there is no run at all."""
    st.subheader("Three steps to the first run", anchor=False)
    with st.container(border=True):
        if reply.live_workers:
            st.markdown(":green[:material/check_circle:] **A worker is alive** and waits for runs.")
        else:
            st.markdown("**1. Start a worker**, on the machine that is to train:")
            st.code("python worker.py", language=None)
        st.markdown("**2. Submit a run.** The defaults train a small network on `digits` in seconds.")
        st.page_link(parts.page("submit"), label="Open the form", icon=":material/add_circle:")
        st.markdown("**3. Look here again**: what it achieved and what it cost stands on this page.")
    with st.container(border=True):
        st.markdown("**You have a training loop of your own?** Three lines log it here:")
        st.code(_SDK, language=None)
    if reply.notices:
        notices(reply)


def _run_link(run: RunReply, icon: str) -> None:
    mark = f" ({SIMULATED})" if run.simulated else ""
    st.page_link(
        parts.page("run"),
        label=fmt.plain(f"{run_title(run)}{mark} — {short_id(run.run_id)}"),
        icon=icon,
        query_params={"iid": run.run_id},
    )


def _more(count: int, status: str | None) -> None:
    if count > 0:
        st.page_link(
            parts.page("runs"),
            label=f"{fmt.count(count)} more",
            icon=":material/table_rows:",
            query_params={"status": status} if status else None,
        )


def _since(time: datetime) -> str:
    return f"Since {fmt.utc(time)}, when this browser showed Wattle last."
