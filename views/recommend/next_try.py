"""What to try next: a configuration that nobody has run, what is expected of it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import streamlit as st

from errors import ApiRefused
from schema import TrainerReply
from schema.next_try import Expected, NextReply, Trial
from schema.recommend import RecommendReply
from views import format as fmt
from views import parts, source
from views.form import form_fields, number_text
from views.recommend.card import joined
from views.submit.given import query_of

_LOOK_S: Final = 1
_TAKEN: Final = ("dataset", "device", "simulated", "max_co2_g")
_NOT_KEPT: Final = ("target_accuracy", "max_duration_s", "max_energy_kwh")

Query = Mapping[str, str]


def show_next(reply: RecommendReply, query: Query) -> None:
    """Draw the card; while it is being worked out it looks again by itself."""
    if not reply.configurations:
        return
    asked = {name: query[name] for name in _TAKEN if name in query}
    # The same that the rest of the page is about, also where the URL does not say.
    asked |= {"dataset": reply.dataset or "", "simulated": "true" if reply.simulated else "false"}
    found = _fetch(asked)
    if found is None:
        return
    is_partly = any(name in query for name in _NOT_KEPT)
    st.subheader("Try next", anchor=False)
    if found.is_working:
        st.fragment(_wait, run_every=_LOOK_S)(asked)
        return
    with st.container(border=True, key="next-card"):
        if found.trial is None:
            st.markdown(f":material/explore_off: {fmt.plain(joined(found.reason))}")
        else:
            _show_trial(found, found.trial)
            if is_partly:
                st.caption("Of your limits, it keeps to the one of CO₂ alone.")


def _fetch(asked: Query) -> NextReply | None:
    try:
        return source.fetch(
            "next", lambda: source.api().suggest_next(asked), of=tuple(sorted(asked.items()))
        ).value
    except ApiRefused as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        return None


def _wait(asked: Query) -> None:
    """Say that it is being worked out; draw the page anew once it is."""
    found = _fetch(asked)
    if found is not None and not found.is_working:
        st.rerun()
    with st.container(border=True, key="next-waiting"):
        st.markdown(":material/hourglass_top: Learning from the finished runs, which takes some seconds …")


def _show_trial(found: NextReply, trial: Trial) -> None:
    trainer = _find_trainer(trial)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{fmt.plain(_title(trial))}**", width="content")
        st.badge(
            "never run",
            icon=":material/explore:",
            color="blue",
            help="All of this is expected, nothing was measured.",
        )
        if found.simulated:
            parts.simulated_pill()
        if found.device:
            st.caption(fmt.plain(found.device), width="content")
    st.markdown(fmt.plain(joined(found.reason)))
    _tiles(trial)
    if found.is_mixed:
        st.caption("Some of what it was learnt from measured its energy, some did not.")
    st.dataframe(_rows(trial, trainer), hide_index=True, height="content", width="content")
    if trainer is None:
        st.caption("Its trainer is not offered any more.")
    elif st.button("Submit this", type="primary", icon=":material/add_circle:", key="next:submit"):
        parts.go_to("submit", query_of(trainer, trial.hyper_params))
    with st.expander("Its hyperparameters", icon=":material/code:"):
        st.json(trial.hyper_params)


def _title(trial: Trial) -> str:
    network = trial.hyper_params.get("network")
    return network if isinstance(network, str) else str(trial.hyper_params.get("trainer"))


def _find_trainer(trial: Trial) -> TrainerReply | None:
    trainers = source.fetch("trainers", source.list_trainers).value
    name = trial.hyper_params.get("trainer")
    return next((each for each in trainers.trainers if each.name == name), None) if trainers else None


def _tiles(trial: Trial) -> None:
    gain, rate = (100 * value for value in (trial.improvement, trial.improvement_per_g))
    mass = fmt.masses((trial.co2_g.low, trial.co2_g.value, trial.co2_g.high))
    figures = (
        ("Expected accuracy", fmt.percent(trial.accuracy.value), _range(trial.accuracy, fmt.percent)),
        ("Expected CO₂", mass(trial.co2_g.value), _range(trial.co2_g, mass)),
        ("Expected gain", f"{fmt.significant(gain)} points", "over the best"),
        ("Gain per gram", f"{fmt.significant(rate)} points", "per g of CO₂"),
    )
    hints = (
        "One standard deviation to both sides.",
        "One standard deviation to both sides, as a factor.",
        "How much more accurate it is on average, where what is worse counts as no gain.",
        "The gain for each gram that it is expected to emit: what it was chosen by.",
    )
    for column, (label, value, below), hint in zip(
        parts.tiles(len(figures), "next"), figures, hints, strict=True
    ):
        column.metric(
            label,
            value,
            delta=below,
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help=hint,
        )


def _range(expected: Expected, write: fmt.Write) -> str:
    return f"{write(expected.low)} – {write(expected.high)}"


def _rows(trial: Trial, trainer: TrainerReply | None) -> list[dict[str, str]]:
    labels = {field.name: field.label for field in form_fields(trainer.schema_)} if trainer else {}
    return [
        {
            "Hyperparameter": labels.get(each.name, each.name),
            "Try": number_text(each.value),
            "Best so far": number_text(each.best),
        }
        for each in trial.differences
    ]
