"""The site: its pages, and what they share."""

from __future__ import annotations

import gc
from pathlib import Path

import streamlit as st

from views import parts, run, runs, submit, totals

_ICON = str(Path(__file__).parent.with_name("static") / "icon.png")


def show() -> None:
    """Configure the site and show the page that was asked for."""
    st.set_page_config("Wattle", page_icon=_ICON, layout="wide", initial_sidebar_state=200)
    st.logo(_ICON, size="large")
    pages = {
        "runs": st.Page(runs.show, title="Runs", icon=":material/table_rows:", url_path="runs", default=True),
        "submit": st.Page(submit.show, title="Submit", icon=":material/add_circle:", url_path="submit"),
        "run": st.Page(run.show, title="Run", icon=":material/monitoring:", url_path="run"),
        "totals": st.Page(totals.show, title="Totals", icon=":material/eco:", url_path="totals"),
    }
    parts.register_pages(pages)
    page = st.navigation(list(pages.values()))
    _freeze_imports()
    parts.page_style()
    page.run()


@st.cache_resource(show_spinner=False)
def _freeze_imports() -> None:
    """Keep what is imported out of the garbage collector: Streamlit collects at every tick of a live page."""
    gc.collect()
    gc.freeze()
