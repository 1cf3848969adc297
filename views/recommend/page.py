"""The Recommend page: limits in, the configuration to use out, with its reason and what it beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import streamlit as st

from schema.recommend import Change, Limit, RecommendReply, Relaxation
from views import format as fmt
from views import parts, source
from views.choosing import ANY, UNNAMED, answer_of, choose_one, named, value_of
from views.recommend.card import joined, show_answer, show_others
from views.recommend.next_try import show_next
from views.source import Snapshot

Query = dict[str, str]


class _Field(NamedTuple):
    """A limit as the page shows it: ``shown = sent × factor``, in the unit of its label."""

    key: str
    label: str
    factor: float
    placeholder: str
    help: str
    most: float | None = None


_TARGET: Final = _Field(
    "target",
    "Near accuracy %",
    100,
    "the highest",
    "The answer is then the one of the fewest grams near it. Empty: the most accurate within the budgets.",
    100.0,
)
_LIMITS: Final = {
    Limit.TOLERANCE: _Field(
        "within", "Within points", 100, "1", "How far from that accuracy is near.", 100.0
    ),
    Limit.MAX_CO2_G: _Field("co2", "CO₂ at most g", 1, "no limit", "Of a whole run."),
    Limit.MAX_DURATION_S: _Field("minutes", "Time at most min", 1 / 60, "no limit", "Of a whole run."),
    Limit.MAX_ENERGY_KWH: _Field("wh", "Energy at most Wh", 1000, "no limit", "Of a whole run."),
}


def show() -> None:
    """Show the page."""
    st.title("Recommend")
    st.caption("What to train: the best of the finished configurations that keeps to your limits.")
    query = _wanted()
    answer = answer_of(lambda: _fetch(query), otherwise="Forget all limits", on_otherwise=_forget)
    if answer is None:
        return
    found, reply = answer
    if not reply.datasets and not reply.has_real and not reply.simulated:
        _empty()
        return
    _choose(reply)
    with parts.grey_area(found):
        _show_reply(reply)
    show_next(reply, query)


def _wanted() -> Query:
    """Return the limits that the widgets, or before them the URL, ask for."""
    query: Query = {}
    if (target := _number(_TARGET)) is not None:
        query["target_accuracy"] = target
    for limit, field in _LIMITS.items():
        value = _number(field)
        # Without an accuracy to be near to, a tolerance says nothing.
        if value is not None and (limit is not Limit.TOLERANCE or target is not None):
            query[limit.value] = value
    for name in ("dataset", "device"):
        if (chosen := named(value_of(name))) is not None:
            query[name] = chosen
    if st.query_params.get("simulated") in ("yes", "no"):
        query["simulated"] = "true" if st.query_params["simulated"] == "yes" else "false"
    return query


def _number(field: _Field) -> str | None:
    """Return a limit as the API takes it; None where it is empty, or no number."""
    value = value_of(field.key)
    if value in (None, ""):
        return None
    try:
        shown = float(str(value))
    except ValueError:
        st.query_params.pop(field.key, None)
        return None
    # Without the noise of dividing: what an advice names is then enough.
    return f"{shown / field.factor:.12g}"


def _fetch(query: Query) -> Snapshot[RecommendReply]:
    return source.fetch("recommend", lambda: source.api().recommend(query), of=tuple(sorted(query.items())))


def _choose(reply: RecommendReply) -> None:
    """Draw the limits; each is in the URL."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose_one("dataset", "Dataset", reply.datasets, reply.dataset or UNNAMED)
        choose_one("device", "Device", reply.devices, str(value_of("device") or ANY), has_any=True)
        for field in (_TARGET, *_LIMITS.values()):
            _limit_input(field, is_off=field.key == "within" and reply.target_accuracy is None)
        st.session_state["recommend:simulated"] = reply.simulated
        st.toggle(
            "Simulated runs",
            key="recommend:simulated",
            on_change=_note_simulated,
            help="Runs that were never trained: their figures are made up. They are never compared with real "
            "ones, and looked at by themselves only while there is no real one.",
        )


def _limit_input(field: _Field, *, is_off: bool) -> None:
    st.number_input(
        field.label,
        min_value=0.0,
        max_value=field.most,
        value=None,
        format="%g",
        placeholder=field.placeholder,
        key=field.key,
        bind="query-params",
        width=150,
        help=field.help,
        disabled=is_off,
    )


def _note_simulated() -> None:
    st.query_params["simulated"] = "yes" if st.session_state["recommend:simulated"] else "no"


def _forget() -> None:
    st.query_params.clear()
    for key in (_TARGET.key, *(field.key for field in _LIMITS.values()), "dataset", "device"):
        st.session_state.pop(key, None)


def _show_reply(reply: RecommendReply) -> None:
    if reply.is_mixed:
        st.warning(
            "Some of what is compared here measured its energy, some estimated it or does not say how it was "
            "found. Compare with care.",
            icon=":material/balance:",
        )
    if reply.answer is not None:
        show_answer(reply, reply.answer)
        show_others(reply, reply.answer)
        return
    st.warning(fmt.plain(joined(reply.reason)), icon=":material/search_off:")
    if reply.relaxations:
        st.subheader("What would be enough", anchor=False)
    for number, relaxation in enumerate(reply.relaxations):
        _show_relaxation(relaxation, number)


def _show_relaxation(relaxation: Relaxation, number: int) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(fmt.plain(joined(relaxation.reason)), width="stretch")
        st.button(
            "Allow this",
            icon=":material/check:",
            type="primary" if number == 0 else "secondary",
            key=f"recommend:allow:{number}",
            on_click=_allow,
            args=(relaxation.changes,),
        )


def _allow(changes: Sequence[Change]) -> None:
    for change in changes:
        field = _LIMITS[change.limit]
        st.session_state[field.key] = float(f"{change.needed * field.factor:.12g}")


def _empty() -> None:
    """Say what makes the page useful."""
    st.info(
        "No run has finished yet. As soon as some are done, this page says which configuration to use within "
        "an accuracy, a time, or an amount of energy or CO₂.",
        icon=":material/recommend:",
    )
    if st.button("Submit a run", type="primary", icon=":material/add:"):
        parts.go_to("submit")
