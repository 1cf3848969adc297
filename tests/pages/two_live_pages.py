"""Two pages that draw a part of themselves dozens of times a second, each with a button to the other."""

from __future__ import annotations

import time

import streamlit as st

from views import parts
from views.page_changes import want

# As often as it takes for one of a page's last calls to be under way whenever it is left.
_EVERY_S = 0.03


def _first() -> None:
    _above("Page first")
    _first_live()


def _second() -> None:
    _above("Page second")
    _second_live()


def _above(title: str) -> None:
    st.title(title)
    for name in ("first", "second"):
        st.page_link(parts.page(name), label=f"Link to {name}", query_params={"of": name})
    # So that there is a time in which the page is drawn.
    time.sleep(0.05)
    st.write("Above what changes.")


# Two functions, as two pages have: Streamlit knows a fragment by its function.
@st.fragment(run_every=_EVERY_S)
def _first_live() -> None:
    if st.button("Go to second"):
        parts.go_to("second")


@st.fragment(run_every=_EVERY_S)
def _second_live() -> None:
    if st.button("Go to first"):
        parts.go_to("first")


pages = {"first": st.Page(_first, default=True), "second": st.Page(_second)}
parts.register_pages(pages)
page = st.navigation([*pages.values()])
want(page)
page.run()
