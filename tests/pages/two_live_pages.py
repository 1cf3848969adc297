"""Two pages that draw a part of themselves dozens of times a second, each with a button to the other."""

from __future__ import annotations

import time

import streamlit as st

from views import parts

# As often as it takes for one of a page's last calls to be under way whenever it is left.
_EVERY_S = 0.03


def _show(name: str, other: str) -> None:
    st.title(f"Page {name}")
    # So that there is a time in which the page is drawn.
    time.sleep(0.05)
    st.write("Above what changes.")
    st.fragment(_live, run_every=_EVERY_S)(other)


def _live(other: str) -> None:
    if st.button(f"Go to {other}"):
        parts.go_to(other)


def _first() -> None:
    _show("first", "second")


def _second() -> None:
    _show("second", "first")


pages = {"first": st.Page(_first, default=True), "second": st.Page(_second)}
parts.register_pages(pages)
st.navigation([*pages.values()]).run()
