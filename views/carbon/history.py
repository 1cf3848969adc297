"""What was recorded of a zone, on the page Carbon: the mean of each hour of each month."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from views import format as fmt
from views.asking import Questions
from views.carbon.charts import history_figure
from views.live_chart import live_charts

_SHORT = timedelta(days=30)


def show(questions: Questions, zone: str) -> None:
    """Draw the section."""
    st.subheader("History", anchor=False)
    history = questions.answer("history", about=zone)
    found = history.value
    if found is None:
        if history.reason:
            st.caption(fmt.plain(history.reason))
        return
    if found.values <= 1 or found.provider == "static":
        st.caption("A yearly average has no history by the hour.")
        return
    live_charts([history_figure(found)], key="history")
    st.caption(
        f"{fmt.plain(found.zone)}, {fmt.plain(found.provider)}, {found.basis}: mean "
        f"{found.mean_g_per_kwh:.0f} g/kWh, {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}, "
        f"{fmt.count(found.values)} values."
    )
    if found.end - found.start < _SHORT:
        st.caption(
            "Older hours are fetched in the background, for the zone of the installation and for zones that "
            "runs wait for; with them the forecast becomes sharper."
        )
