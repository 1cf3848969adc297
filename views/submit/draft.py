"""What a reader fills in before a run is queued: its hyperparameters, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st
from pydantic import JsonValue

from errors import ApiError, ApiRefused, FieldError
from schema import RunOptions, TrainerReply
from views import format as fmt
from views import source
from views.form import FormField, is_unreadable, number_text, show_fields
from views.plan import show_plan
from views.predicted import prediction_tiles
from views.submit import carbon as submit_carbon
from views.submit import options as submit_options

_COLUMNS = 3


@dataclass(frozen=True)
class Draft:
    """A filled-in form."""

    trainer: TrainerReply
    fields: Sequence[FormField]
    hyper_params: Mapping[str, JsonValue]
    options: RunOptions


def show_form(
    trainer: TrainerReply,
    fields: Sequence[FormField],
    *,
    prefix: str,
    errors: Mapping[str, str],
    options: RunOptions,
) -> Draft | None:
    """Draw the fields and the options; None, with the reason below, while something cannot be read.

    What stands in them at first are the defaults of ``fields``, and ``options``.
    """
    key = f"{prefix}:{trainer.name}"
    essential = [field for field in fields if not field.is_advanced]
    advanced = [field for field in fields if field.is_advanced]
    hyper_params = show_fields(essential, prefix=key, errors=errors, columns=_COLUMNS)
    if advanced:
        has_error = any(field.name in errors for field in advanced)
        with st.expander("Advanced", expanded=has_error, icon=":material/tune:"):
            hyper_params |= show_fields(advanced, prefix=key, errors=errors, columns=_COLUMNS)
    chosen = _show_options(errors, prefix=prefix, first=options)
    if form_error := errors.get(""):
        st.error(fmt.plain_lines(form_error), icon=":material/error:")
    if chosen is None or any(is_unreadable(field, hyper_params.get(field.name)) for field in fields):
        return None
    return Draft(trainer, fields, {"trainer": trainer.name, **hyper_params}, chosen)


def _show_options(errors: Mapping[str, str], *, prefix: str, first: RunOptions) -> RunOptions | None:
    """Draw how it is run: whether it waits for the grid, and all else; None while that is not valid."""
    with st.expander(
        "Clean electricity: wait for it",
        icon=":material/energy_savings_leaf:",
        expanded="carbon" in errors or first.carbon is not None,
    ):
        carbon = submit_carbon.show(errors, prefix=prefix, first=first.carbon)
    with st.expander(
        "Options: queue, priority, project, needs, start",
        icon=":material/low_priority:",
        expanded="options" in errors,
    ):
        chosen = submit_options.show(errors, prefix=prefix, first=first)
    if chosen is None or not carbon.is_valid:
        return None
    return chosen.model_copy(update={"carbon": carbon.options})


def show_prediction(draft: Draft) -> None:
    """Show what the run will probably take, before it is spent."""
    try:
        predicted = source.predict(draft.hyper_params, draft.options)
    except ApiError as error:
        # What else is wrong with the values, or the API, is said where the run is queued.
        if draft.options.carbon is not None and isinstance(error, ApiRefused):
            st.warning(fmt.plain_lines(str(error)), icon=":material/schedule:")
        return
    if predicted.energy_kwh is not None or predicted.duration_s is not None:
        prediction_tiles(predicted)
    st.caption(fmt.plain(predicted.basis), text_alignment="left")
    if predicted.plan is not None:
        st.subheader("Plan", anchor=False)
        show_plan(predicted.plan, name="draft-plan")


def value_rows(fields: Sequence[FormField], values: Mapping[str, JsonValue]) -> list[dict[str, str]]:
    """List every value, and beside a changed one the default it replaces."""
    shown = [field for field in fields if field.name in values]
    changed = {field.name for field in shown if values[field.name] != field.default}
    rows = []
    for field in shown:
        row = {"Hyperparameter": field.label, "Value": number_text(values[field.name])}
        if changed:
            row["Instead of"] = number_text(field.default) if field.name in changed else ""
        rows.append(row)
    return rows


def errors_by_field(details: Sequence[FieldError]) -> dict[str, str]:
    """Sort the API's reasons by the form's fields; what belongs to none of them is under ""."""
    errors: dict[str, str] = {}
    for detail in details:
        head, _, name = detail.field.partition(".")
        place = name if head == "hyper_params" else _place(name) if head == "options" else ""
        message = detail.message if head == "hyper_params" else f"{detail.field}: {detail.message}"
        errors[place] = f"{errors[place]}; {message}" if place in errors else message
    return errors


def _place(option: str) -> str:
    return "carbon" if option.partition(".")[0] == "carbon" else "options"
