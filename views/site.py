"""The site: its pages, and what they share."""

from __future__ import annotations

import gc
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from views import login, parts
from views.access import page as access
from views.alerts import page as alerts
from views.carbon import page as carbon
from views.compare import page as compare
from views.home import page as home
from views.leaderboard import page as leaderboard
from views.live import page as live
from views.models import page as models
from views.page_changes import want
from views.recommend import page as recommend
from views.run import page as run
from views.runs import page as runs
from views.submit import page as submit
from views.sweeps import page as sweeps
from views.totals import page as totals
from views.workers import page as workers

_ICON = str(Path(__file__).parent.with_name("static") / "icon.png")


def show() -> None:
    """Configure the site and show the page that was asked for."""
    st.set_page_config("Wattle", page_icon=_ICON, layout="wide", initial_sidebar_state=200)
    st.logo(_ICON, size="large")
    parts.page_style()
    if not login.admit():
        return
    pages = {
        "home": st.Page(home.show, title="Home", icon=":material/home:", default=True),
        "runs": st.Page(runs.show, title="Runs", icon=":material/table_rows:", url_path="runs"),
        "submit": st.Page(submit.show, title="Submit", icon=":material/add_circle:", url_path="submit"),
        "run": st.Page(run.show, title="Run", icon=":material/monitoring:", url_path="run"),
        "compare": st.Page(
            compare.show, title="Compare", icon=":material/compare_arrows:", url_path="compare"
        ),
        "sweeps": st.Page(sweeps.show, title="Sweeps", icon=":material/tune:", url_path="sweeps"),
        "live": st.Page(live.show, title="Live", icon=":material/grid_view:", url_path="live"),
        "leaderboard": st.Page(
            leaderboard.show, title="Leaderboard", icon=":material/leaderboard:", url_path="leaderboard"
        ),
        "recommend": st.Page(
            recommend.show, title="Recommend", icon=":material/recommend:", url_path="recommend"
        ),
        "totals": st.Page(totals.show, title="Totals", icon=":material/eco:", url_path="totals"),
        "carbon": st.Page(
            carbon.show, title="Carbon", icon=":material/energy_savings_leaf:", url_path="carbon"
        ),
        "workers": st.Page(workers.show, title="Workers", icon=":material/memory:", url_path="workers"),
        "models": st.Page(models.show, title="Models", icon=":material/deployed_code:", url_path="models"),
        "alerts": st.Page(alerts.show, title="Alerts", icon=":material/notifications:", url_path="alerts"),
        "access": st.Page(access.show, title="Access", icon=":material/key:", url_path="access"),
    }
    parts.register_pages(pages)
    # No sections: what Streamlit makes of them is no list to a screen reader.
    page = st.navigation([*pages.values(), _home_by_name()], expanded=True)
    want(page)
    _freeze_imports()
    login.show_account()
    parts.show_notice()
    page.run()


def _home_by_name() -> Page:
    """Make /home lead to the first page too: as the default page it has the address / alone."""
    return st.Page(_go_home, title="Home", url_path="home", visibility="hidden")


def _go_home() -> None:
    parts.go_to("home")


@st.cache_resource(show_spinner=False)
def _freeze_imports() -> None:
    """Keep what is imported out of the garbage collector: Streamlit collects at every tick of a live page."""
    gc.collect()
    gc.freeze()
