"""A new run made from an old one: the same form as for a submission, with the old run's values in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import streamlit as st
from pydantic import JsonValue

from errors import ApiError, ApiRefused
from schema import RerunRequest, RunOptions, RunReply, TrainerReply
from views import commands, may, parts, source
from views import format as fmt
from views.form import FormField, form_fields, number_text
from views.look import run_name, short_id
from views.submit import options as submit_options
from views.submit.draft import Draft, errors_by_field, show_form, show_prediction

_OPENED = "rerun:opened"


@dataclass
class _Opened:
    """The form since it was opened last."""

    iid: str
    token: str
    """Of its widgets and requests: opened again, the form starts from the old values."""
    errors: Mapping[str, str]
    new_iid: str | None = None
    is_drawn: bool = False


def open_form(iid: str) -> None:
    """Let the form start from the values of a run."""
    st.session_state[_OPENED] = _Opened(iid, uuid.uuid4().hex, {})


def is_to_be_drawn(iid: str) -> bool:
    """Tell whether the form was opened by a click since the whole page was drawn last."""
    opened: _Opened | None = st.session_state.get(_OPENED)
    return opened is not None and opened.iid == iid and not opened.is_drawn


def note_drawing(iid: str) -> None:
    """Note that the whole page is being drawn, with the form if it is open."""
    if is_to_be_drawn(iid):
        st.session_state[_OPENED].is_drawn = True


def show_form_of(run: RunReply) -> None:
    """Draw the form if it is open; by the whole page, see docs/decisions/044."""
    opened: _Opened | None = st.session_state.get(_OPENED)
    if opened is not None and opened.iid == run.run_id:
        _form(run, opened)


def _close() -> None:
    st.session_state.pop(_OPENED, None)


def lead_on(iid: str) -> None:
    """Go to the run that was queued, from whichever it was; once there, the form is over."""
    opened: _Opened | None = st.session_state.get(_OPENED)
    if opened is None or opened.new_iid is None:
        return
    if opened.new_iid == iid:
        _close()
        return
    parts.give_notice(f"Run {short_id(opened.new_iid)} is queued, made from {short_id(opened.iid)}.")
    parts.go_to("run", {"iid": opened.new_iid})


@st.dialog("Rerun", width="large", icon=":material/content_copy:", on_dismiss=_close)
def _form(run: RunReply, opened: _Opened) -> None:
    """Let the reader change values and options of a run, show what differs, and queue the new run."""
    st.caption(f"A new run from **{fmt.plain(run_name(run))}**, which stays as it is.")
    trainer = _find_trainer(run)
    if trainer is None:
        return
    fields = form_fields(trainer.schema_)
    draft = show_form(
        trainer,
        [filled_in(field, run.hyper_params) for field in fields],
        prefix=f"rerun:{opened.token}",
        errors=opened.errors,
        options=run.options,
    )
    is_possible = draft is not None and may.can_submit()
    pressed = st.button("Queue it", type="primary", icon=":material/send:", disabled=not is_possible)
    if draft is None:
        return
    changes = changes_of(run, draft, fields)
    if pressed:
        _queue(opened, changes)
    # Below the button: above, they would move it from under the pointer.
    rows = differences(run, changes, fields)
    st.caption(f"{fmt.count(len(rows))} changed:" if rows else "Nothing is changed.")
    if rows:
        st.dataframe(rows, hide_index=True, height="content")
    show_prediction(draft)


def filled_in(field: FormField, values: Mapping[str, JsonValue]) -> FormField:
    """Return a field whose default is the run's value; as it is where that is not offered any more."""
    value = values.get(field.name, field.default)
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_low = field.minimum is not None and value < field.minimum
        is_high = field.maximum is not None and value > field.maximum
        if is_low or is_high:
            return field
    if field.choices and value is not None and str(value) not in field.choices:
        return field
    return replace(field, default=value)


def changes_of(run: RunReply, draft: Draft, fields: Sequence[FormField]) -> RerunRequest:
    """Return what is to be different; a field that was emptied gets its own default, or nothing."""
    hyper_params = {}
    for field in fields:
        value = draft.hyper_params.get(field.name, None if field.is_optional else field.default)
        if value != run.hyper_params.get(field.name, field.default):
            hyper_params[field.name] = value
    old = _as_offered(run.options).model_dump(mode="json")
    new = draft.options.model_dump(mode="json")
    return RerunRequest(
        hyper_params=hyper_params, options={name: value for name, value in new.items() if value != old[name]}
    )


def differences(run: RunReply, changes: RerunRequest, fields: Sequence[FormField]) -> list[dict[str, str]]:
    """List what is to be different, before and now."""
    old = _as_offered(run.options)
    new = RunOptions.model_validate(old.model_dump() | changes.options)
    zone = parts.reader_zone()
    before, now = submit_options.texts(old, zone), submit_options.texts(new, zone)
    pairs = [
        (
            field.label,
            number_text(run.hyper_params.get(field.name, field.default)),
            number_text(changes.hyper_params[field.name]),
        )
        for field in fields
        if field.name in changes.hyper_params
    ]
    pairs += [(label, before[label], now[label]) for label in before if before[label] != now[label]]
    return [{"Changed": label, "Before": old_text, "Now": new_text} for label, old_text, new_text in pairs]


def _as_offered(options: RunOptions) -> RunOptions:
    """Return a run's options as the form shows them: a start in the past is none."""
    is_past = options.start_at is not None and options.start_at <= datetime.now(UTC)
    return options.model_copy(update={"start_at": None}) if is_past else options


def _find_trainer(run: RunReply) -> TrainerReply | None:
    """Return the trainer of a run; None, with the reason, when it is not offered or nobody answers."""
    trainers = source.fetch("trainers", source.list_trainers)
    parts.silence_banner(trainers.problem)
    if trainers.value is None:
        return None
    name = run.hyper_params.get("trainer")
    found = next((trainer for trainer in trainers.value.trainers if trainer.name == name), None)
    if found is None:
        st.warning(fmt.plain(f"The trainer {name} is not installed any more."), icon=":material/block:")
    return found


def _queue(opened: _Opened, changes: RerunRequest) -> None:
    """Queue the new run; the same values from the same form are one run, however often they are sent."""
    key = uuid.uuid5(uuid.UUID(opened.token), json.dumps(changes.model_dump(mode="json"), sort_keys=True)).hex
    try:
        after = commands.rerun(opened.iid, changes, idempotency_key=key)
    except ApiRefused as error:
        opened.errors = errors_by_field(error.details) or {"": str(error)}
        st.rerun()
    except ApiError:
        st.warning(
            "The API does not answer, so it is not known whether the run was queued. Press again: one is "
            "queued, however often you do.",
            icon=":material/cloud_off:",
        )
        return
    # A plain record: each look into the session may end this drawing for a newer one, which leads on then.
    opened.new_iid = after.run_id
    lead_on(opened.iid)
