"""The page. Start it with ``streamlit run frontend.py``; it needs nothing but the API."""

from __future__ import annotations

import gc
from pathlib import Path

import streamlit as st

from views import parts, run, runs, submit

_STATIC = Path(__file__).with_name("static")


@st.cache_resource(show_spinner=False)
def _freeze_imports() -> None:
    """Keep what is imported out of the garbage collector: Streamlit collects at every tick of a live page."""
    gc.collect()
    gc.freeze()


def main() -> None:
    """Configure the page and show the one that was asked for."""
    st.set_page_config(
        "Wattle", page_icon=str(_STATIC / "icon.png"), layout="wide", initial_sidebar_state=200
    )
    st.logo(str(_STATIC / "icon.png"), size="large")
    pages = {
        "runs": st.Page(runs.show, title="Runs", icon=":material/table_rows:", url_path="runs", default=True),
        "submit": st.Page(submit.show, title="Submit", icon=":material/add_circle:", url_path="submit"),
        "run": st.Page(run.show, title="Run", icon=":material/monitoring:", url_path="run"),
    }
    parts.register_pages(pages)
    page = st.navigation(list(pages.values()))
    _freeze_imports()
    parts.page_style()
    page.run()


main()
