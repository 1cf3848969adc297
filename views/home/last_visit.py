"""When the reader was last here: known to the browser alone, in a cookie."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import streamlit as st

COOKIE: Final = "wattle_visit"
VISIT: Final = timedelta(minutes=30)
_COOKIE: Final = re.compile(r"(\d{1,11})\.(\d{1,11})", re.ASCII)
_SEEN: Final = "home:seen"
_NOTE = st.components.v2.component(
    "wattle_last_visit",
    js=(Path(__file__).parent.with_name("static") / "last_visit.js").read_text(encoding="utf-8"),
)


def note_visit() -> None:
    """Let the browser note, now and while the page is seen, that the reader is here."""
    _NOTE(key="last-visit", height=0)


def last_visit() -> datetime | None:
    """Return when the visit before this one ended; None for a first one, and where no cookie is kept.

    It is the same for as long as this session lasts: what has ended meanwhile stays in sight.
    """
    if _SEEN not in st.session_state:
        kept = str(st.context.cookies.get(COOKIE, ""))
        st.session_state[_SEEN] = visit_before(kept, datetime.now(UTC))
    found: datetime | None = st.session_state[_SEEN]
    return found


def visit_before(cookie: str, now: datetime) -> datetime | None:
    """Read the cookie: ``<end of the visit before>.<when the page was last seen>``, in seconds since 1970.

    Who comes back within VISIT goes on with the visit; None where there was none before.
    """
    found = _COOKIE.fullmatch(cookie)
    if found is None:
        return None
    before_s, seen_s = (int(part) for part in found.groups())
    chosen_s = before_s if now.timestamp() - seen_s <= VISIT.total_seconds() else seen_s
    return datetime.fromtimestamp(chosen_s, UTC) if 0 < chosen_s <= now.timestamp() else None
