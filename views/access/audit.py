"""The part of the page Access about the audit log, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from schema.access import AuditEntry
from views import format as fmt
from views import parts, source
from views.access import words

_AT_ONCE: Final = 50
_PLACES: Final = "access:audit_places"
_STATUS_COLORS: Final = {"done": "green", "refused": "red", "failed": "orange"}
_ROWS_WITHOUT_SCROLLING: Final = 12
_TABLE_PX: Final = 460


def show() -> None:
    """Draw a page of the log."""
    wanted = st.text_input(
        "Find",
        key="q",
        bind="query-params",
        max_chars=200,
        placeholder="a person, token, run, action or address",
        on_change=_begin_anew,
    ).strip()
    places: list[str] = st.session_state.setdefault(_PLACES, [])
    before = places[-1] if places else None
    found = source.fetch(
        "audit",
        lambda: source.api().list_audit(before=before, contains=wanted or None, limit=_AT_ONCE),
        of=(before, wanted),
    ).value
    if found is None:
        return
    if not found.entries:
        st.info(
            "Nothing matches."
            if wanted
            else "Nothing was done yet that admins alone may do, and nothing deleted.",
            icon=":material/history:",
        )
    else:
        _table(found.entries[::-1])
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        if places:
            st.button("Newer", icon=":material/chevron_left:", on_click=_go_back)
        if found.older:
            st.button("Older", icon=":material/chevron_right:", on_click=places.append, args=(found.older,))
    st.caption("Every write that takes an admin, every deletion, cancel and drain; about the newest 10,000.")


def _begin_anew() -> None:
    st.session_state.pop(_PLACES, None)


def _go_back() -> None:
    st.session_state[_PLACES].pop()


def audit_frame(entries: Sequence[AuditEntry]) -> pd.DataFrame:
    """Return a row for each entry."""
    return pd.DataFrame(
        {
            "When": pd.to_datetime([entry.time for entry in entries], utc=True).tz_convert(
                parts.reader_zone()
            ),
            "Who": [words.who(entry) for entry in entries],
            "What": [words.action_text(entry) for entry in entries],
            "Outcome": [[_outcome(entry.status)] for entry in entries],
            "Detail": [entry.detail or None for entry in entries],
            "Request": [entry.target for entry in entries],
            "Status": [entry.status for entry in entries],
            "Address": [entry.address or None for entry in entries],
        }
    )


def _outcome(status: int) -> str:
    return "done" if status < 400 else "refused" if status < 500 else "failed"


def _table(entries: Sequence[AuditEntry]) -> None:
    kinds = st.column_config
    st.dataframe(
        audit_frame(entries),
        hide_index=True,
        placeholder=fmt.MISSING,
        height="content" if len(entries) <= _ROWS_WITHOUT_SCROLLING else _TABLE_PX,
        column_config={
            "When": kinds.DatetimeColumn(format="DD MMM HH:mm:ss", width=126),
            "Who": kinds.TextColumn(width=170),
            "What": kinds.TextColumn(width=122),
            "Outcome": kinds.MultiselectColumn(
                options=list(_STATUS_COLORS), color=list(_STATUS_COLORS.values()), width=84
            ),
            "Detail": kinds.TextColumn(width=240),
            "Request": kinds.TextColumn(width=214),
            "Status": kinds.NumberColumn(format="%d", width=68),
            "Address": kinds.TextColumn(width=110),
        },
        alt="The audit log, newest first",
    )
