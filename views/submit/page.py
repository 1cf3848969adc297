"""The Submit page: a form from the trainer's schema, a review in words, then the queue."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from errors import ApiError, ApiRefused
from schema import HealthReply, RunOptions, TrainerReply
from views import format as fmt
from views import may, parts, source
from views.form import form_fields, number_text
from views.submit import options
from views.submit.draft import Draft, errors_by_field, show_form, show_prediction, value_rows
from views.submit.given import Given, find_given, forget_given
from views.submit.rerun import filled_in

_ERRORS = "submit:errors"
_ACCEPTED = "submit:accepted"
_DRAFT_KEY = "submit:idempotency_key"
_DEMO = "submit:demo"


def show() -> None:
    """Show the page."""
    st.title("Submit a run")
    trainers = source.fetch("trainers", source.list_trainers)
    # The trainers may be of a minute ago; what can be submitted to is asked for each time.
    health = source.fetch("health", source.get_health)
    parts.silence_banner(trainers.problem or health.problem)
    if trainers.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    _accepted_note()
    given = find_given(trainers.value.trainers)
    trainer = _choose_trainer(trainers.value.trainers, health.value, given)
    _given_note(given, trainer)
    draft = _form(trainer, given)
    if draft is not None:
        st.session_state[_ERRORS] = {}
        st.session_state[_DRAFT_KEY] = uuid.uuid4().hex
        _review(draft)


def _accepted_note() -> None:
    """Say once, by toast and in the page, that a run was queued, with the way to it."""
    accepted = st.session_state.get(_ACCEPTED)
    if accepted is None:
        return
    iid, is_new, reason = accepted
    if is_new:
        st.toast(f"Run queued. [Open it](/run?iid={iid})", icon=":material/check_circle:", duration="long")
        st.session_state[_ACCEPTED] = (iid, False, reason)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":green[:material/check_circle:] Run `{iid[:8]}` is queued.", width="content")
        st.page_link(
            parts.page("run"),
            label="Open the run",
            icon=":material/arrow_forward:",
            query_params={"iid": iid},
        )
        if reason:
            st.caption(fmt.plain(reason))


def _given_note(given: Given | None, trainer: TrainerReply) -> None:
    """Say whose values stand in the form, and let the reader start from the defaults instead."""
    if given is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if given.hyper_params.get("trainer") == trainer.name:
            words = f"Filled in with the hyperparameters of {given.owner}."
        else:
            words = f"{given.owner} was trained otherwise: these are the defaults."
        st.caption(words, width="content")
        st.button("Start from the defaults", icon=":material/restart_alt:", on_click=forget_given)


def _choose_trainer(
    trainers: Sequence[TrainerReply], health: HealthReply | None, given: Given | None
) -> TrainerReply:
    """Let the reader choose a trainer; a single one is not a question, and simulating is a switch."""
    simulator = next((trainer for trainer in trainers if trainer.simulated), None)
    trainers = [trainer for trainer in trainers if trainer is not simulator] or trainers
    if simulator and _is_demo(health, given):
        with st.container(horizontal=True, vertical_alignment="center"):
            parts.simulated_pill()
            st.caption(fmt.plain(simulator.summary))
        return simulator
    chosen = trainers[0]
    if len(trainers) > 1:
        names = [trainer.name for trainer in trainers]
        titles = {trainer.name: trainer.title for trainer in trainers}
        wanted = given.hyper_params.get("trainer") if given else None
        name = st.selectbox(
            "Trainer",
            names,
            index=names.index(str(wanted)) if wanted in names else 0,
            format_func=lambda name: titles[name],
            key=_key("trainer", given),
        )
        chosen = trainers[names.index(name)]
    st.caption(fmt.plain(chosen.summary))
    return chosen


def _key(name: str, given: Given | None) -> str:
    """Return the key of a widget: what starts with other values is another widget."""
    return f"submit:{name}" if given is None else f"submit:{given.token}:{name}"


def _is_demo(health: HealthReply | None, given: Given | None) -> bool:
    """Draw the switch *Demo mode*; it starts as what was given, else off if a worker can train."""
    return st.toggle(
        "Demo mode",
        value=lacks_torch(health) if given is None else given.simulated,
        key=_DEMO if given is None else _key("demo", given),
        help="Simulates the run in seconds: nothing is trained, every figure is made up and labelled so.",
    )


def lacks_torch(health: HealthReply | None) -> bool:
    """Tell whether it is known that no live worker has torch."""
    return health is not None and health.status == "ok" and not any(worker.torch for worker in health.workers)


def _form(trainer: TrainerReply, given: Given | None) -> Draft | None:
    """Draw the form; return what is filled in once *Review* is pressed."""
    errors: dict[str, str] = st.session_state.get(_ERRORS, {})
    with st.form("submit", border=True):
        fields = form_fields(trainer.schema_)
        is_filled = given is not None and given.hyper_params.get("trainer") == trainer.name
        first = [filled_in(field, given.hyper_params) for field in fields] if given and is_filled else fields
        prefix = "submit" if given is None else f"submit:{given.token}"
        draft = show_form(trainer, first, prefix=prefix, errors=errors, options=RunOptions())
        if draft is not None:
            # What is reviewed as changed are the values that differ from the trainer's own defaults.
            draft = replace(draft, fields=fields)
        pressed = st.form_submit_button("Review", type="primary", icon=":material/fact_check:")
    return draft if pressed else None


@st.dialog("Review", width="medium", icon=":material/fact_check:")
def _review(draft: Draft) -> None:
    """Show in words what will be queued, then queue it."""
    if draft.trainer.simulated:
        parts.simulated_pill()
    st.markdown(describe(draft))
    show_prediction(draft)
    st.dataframe(value_rows(draft.fields, draft.hyper_params), hide_index=True, height="content")
    with st.expander("As the API gets it", icon=":material/code:"):
        body = {"hyper_params": dict(draft.hyper_params), "options": draft.options.model_dump(mode="json")}
        st.json(body)
    if st.button("Queue it", type="primary", icon=":material/send:", disabled=not may.can_submit()):
        _queue(draft)


def describe(draft: Draft) -> str:
    """Say in a sentence what will be trained, for how long, and where it waits."""
    params = {name: fmt.plain(number_text(value)) for name, value in draft.hyper_params.items()}
    network, dataset = params.get("network", fmt.plain(draft.trainer.title)), params.get("dataset")
    verb = "Simulate" if draft.trainer.simulated else "Train"
    sentence = f"{verb} **{network}** on **{dataset}**" if dataset else f"{verb} **{network}**"
    if optimizer := params.get("optimizer"):
        sentence += f" with **{optimizer}**"
    if learning_rate := params.get("learning_rate"):
        sentence += f" at learning rate **{learning_rate}**"
    if num_epochs := params.get("num_epochs"):
        sentence += f" for **{num_epochs} epoch{'' if num_epochs == '1' else 's'}**"
    return f"{sentence}. {options.describe(draft.options, parts.reader_zone())}"


def _queue(draft: Draft) -> None:
    """Send the run; a second press of the button repeats the request under the same key."""
    try:
        reply = source.api().submit(
            draft.hyper_params, draft.options, idempotency_key=st.session_state[_DRAFT_KEY]
        )
    except ApiRefused as error:
        if error.details:
            st.session_state[_ERRORS] = errors_by_field(error.details)
            st.rerun()
        st.error(fmt.plain_lines(str(error)), icon=":material/error:")
    except ApiError as error:
        parts.silence_banner(error)
    else:
        st.session_state[_ACCEPTED] = (reply.iid, True, reply.plan.reason if reply.plan else "")
        st.rerun()
