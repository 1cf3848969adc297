"""What pages of rankings share: choices that are in the URL, and an answer or the reason for none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import streamlit as st

from errors import ApiRefused
from schema.leaderboard import Choice
from views import format as fmt
from views import parts
from views.source import Snapshot

ANY: Final = "any"
UNNAMED: Final = "not named"

T = TypeVar("T")


def answer_of(
    fetch: Callable[[], Snapshot[T]], *, otherwise: str, on_otherwise: Callable[[], None]
) -> tuple[Snapshot[T], T] | None:
    """Return an answer of the API; where there is none say why, with the button ``otherwise`` if refused."""
    try:
        found = fetch()
    except ApiRefused as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        st.button(otherwise, on_click=on_otherwise)
        return None
    parts.silence_banner(found.problem)
    if found.value is None:
        st.button("Try again", icon=":material/refresh:")
        return None
    return found, found.value


def value_of(name: str) -> object:
    """Return what a widget, or before it the URL, says."""
    return st.session_state.get(name, st.query_params.get(name))


def named(value: object) -> str | None:
    """Return what the API takes for a choice: empty for runs that name none; None for any."""
    if value in (None, "", ANY):
        return None
    return "" if value == UNNAMED else str(value)


def choose_one(
    name: str,
    label: str,
    choices: Sequence[Choice],
    chosen: str,
    *,
    has_any: bool = False,
    most_tabs: int = 0,
    width: int | Literal["stretch"] = 180,
) -> None:
    """Draw a choice that is in the URL: as tabs up to so many, else as a list."""
    values = [choice.value or UNNAMED for choice in choices]
    options = list(dict.fromkeys([*([ANY] if has_any else []), *values, chosen]))
    if len(options) <= most_tabs:
        st.segmented_control(label, options, default=chosen, required=True, key=name, bind="query-params")
        return
    st.selectbox(label, options, index=options.index(chosen), key=name, bind="query-params", width=width)
