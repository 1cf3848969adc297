"""Why a run failed: what it was, what to try, where it happened, and how each attempt ended."""

from __future__ import annotations

import streamlit as st

from schema import EpochsReply, RunError, RunReply, Status
from views import format as fmt
from views.run import details


def show(run: RunReply, epochs: EpochsReply) -> None:
    """Draw the explanation; nothing for a run without a failure."""
    error = run.error
    if error is None:
        return
    with st.container(border=True, key="failure"):
        st.error(f"**{fmt.plain(error.kind)}**: {fmt.plain_lines(error.message)}", icon=":material/error:")
        if error.hint:
            st.markdown(f":material/lightbulb: {fmt.plain(error.hint)}")
        if facts := describe(run, error):
            st.caption(" · ".join(map(fmt.plain, facts)))
        if error.traceback:
            with st.expander("Traceback", icon=":material/bug_report:"):
                st.code(error.traceback, language=None)
        if len(epochs.attempts) > 1:
            with st.expander(f"{len(epochs.attempts)} attempts", icon=":material/history:"):
                details.attempts(epochs)


def describe(run: RunReply, error: RunError) -> list[str]:
    """Name where and when it happened, and whether it is worth another try."""
    facts = []
    if error.epoch is not None:
        facts.append(f"in epoch {fmt.count(error.epoch)}")
    if error.step is not None:
        facts.append(f"last step {fmt.count(error.step)}")
    if error.host:
        facts.append(f"on {error.host}")
    if run.status is Status.FAILED and run.ended_at is not None:
        facts.append(fmt.utc(run.ended_at))
    if run.is_external:
        return facts
    if not error.is_retryable:
        facts.append("not tried again by itself, as the same values would fail again")
    elif run.failures > 1:
        facts.append(f"{fmt.count(run.failures)} failures")
    return facts
