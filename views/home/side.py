"""Beside the lists of the Home page: where to go with a question, and when electricity is clean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import streamlit as st

from schema import IntensityReply, WindowReply
from schema.home import HomeReply
from views import format as fmt
from views import grid, parts
from views.asking import Questions
from views.carbon.page import REMEDY
from views.grid import Answer

_WORK_H: Final = 4
_EVERY_S: Final = 60


def show(reply: HomeReply) -> None:
    """Draw them."""
    if reply.datasets:
        _greenest(reply)
    with st.container(border=True, key="home-leads"):
        st.page_link(parts.page("leaderboard"), label="See the ranking", icon=":material/leaderboard:")
        st.page_link(parts.page("recommend"), label="Ask which network to use", icon=":material/recommend:")
        st.page_link(parts.page("compare"), label="Put runs side by side", icon=":material/compare_arrows:")
    with st.container(border=True, key="home-window"):
        st.markdown("**Next clean window**")
        # By itself, and last: a provider that does not answer must not keep the page.
        st.fragment(_window, run_every=_EVERY_S)()


def _greenest(reply: HomeReply) -> None:
    """Ask for the network of the fewest grams above an accuracy, and lead to the ranking that answers it."""
    names = [choice.value for choice in reply.datasets if choice.value]
    # What somebody works on now, where that is known.
    latest = [run.hyper_params.get("dataset") for run in reply.ended]
    first = next((names.index(str(name)) for name in latest if name in names), 0)
    with st.form("home:greenest"):
        st.markdown("**Find the greenest network**")
        dataset = st.selectbox("Dataset", names, index=first, key="home:dataset")
        least = st.number_input(
            "Accuracy above %", 0.0, 100.0, None, 0.5, format="%.2f", key="home:least",
            placeholder="2 points below the best",
        )  # fmt: skip
        if st.form_submit_button("Find it", icon=":material/eco:", width="stretch"):
            query = {"dataset": str(dataset), "sort": "CO₂", "per": "best of each network"}
            parts.go_to("leaderboard", query | ({} if least is None else {"least": f"{least:g}"}))


def _window() -> None:
    questions = Questions()
    questions.begin("home:now", lambda: grid.get_intensity(None))
    questions.begin("home:window", lambda: grid.get_window(None, _WORK_H, interruptible=False))
    now, window = questions.answer("home:now"), questions.answer("home:window")
    st.markdown(window_text(now, window, datetime.now(UTC)))
    if window.value is None or _is_flat(now):
        st.caption(REMEDY)
    st.page_link(parts.page("carbon"), label="The grid in detail", icon=":material/energy_savings_leaf:")


def window_text(now: Answer[IntensityReply], window: Answer[WindowReply], time: datetime) -> str:
    """Say when to run work of some hours, and what that saves; or why that is not known."""
    if now.value is not None and _is_flat(now):
        return (
            f"{fmt.plain(now.value.zone)} has one figure for the whole year, {now.value.g_per_kwh:.0f} g/kWh:"
            " no hour is better than another."
        )
    best = window.value
    if best is None:
        return fmt.plain(window.reason or now.reason or "The API does not answer.")
    wait_s = (best.start_at - time).total_seconds()
    if wait_s <= 0 or best.saving < 0.005:
        return f"**Now** is as clean as it gets in the next hours: {best.run_now_g_per_kwh:.0f} g/kWh."
    then, share = f"{best.g_per_kwh:.0f} g/kWh", f"{100 * best.saving:.0f} % less"
    return (
        f"**{parts.near_time(best.start_at)}**, in {fmt.duration(wait_s)}: {then} instead of "
        f"{best.run_now_g_per_kwh:.0f} now, {share} for {best.duration_h:g} hours of work."
    )


def _is_flat(now: Answer[IntensityReply]) -> bool:
    """Tell whether all that is known is a yearly average."""
    return now.value is not None and now.value.at is None
