"""The values that the Submit form starts with: those of a run, or those that stand in the URL."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from pydantic import JsonValue

from errors import ApiRefused
from schema import TrainerReply
from views import format as fmt
from views import source
from views.form import FormField, form_fields
from views.look import run_name

FROM: Final = "from"
TRAINER: Final = "trainer"
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Given:
    """What a form starts with."""

    token: str
    """Of its widgets: what starts with other values is another form."""
    owner: str
    """Whose hyperparameters they are, as Markdown."""
    hyper_params: Mapping[str, JsonValue]
    simulated: bool


def find_given(trainers: Sequence[TrainerReply]) -> Given | None:
    """Return the values that the URL names; None where it names none, or with the reason on the page."""
    if iid := st.query_params.get(FROM):
        return _of_run(iid)
    trainer = next((each for each in trainers if each.name == st.query_params.get(TRAINER)), None)
    return None if trainer is None else _of_url(trainer)


def forget_given() -> None:
    """Start from the defaults."""
    st.query_params.clear()


def query_of(trainer: TrainerReply, hyper_params: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return the URL's part that fills the form with hyper_params; what is as by default is left out."""
    query = {TRAINER: trainer.name}
    for field in form_fields(trainer.schema_):
        value = hyper_params.get(field.name, field.default)
        if value != field.default:
            query[field.name] = _text(value)
    return query


def read_value(field: FormField, text: str) -> JsonValue:
    """Return what a text of the URL says for a field, within what the form takes; raise ValueError if not."""
    text = text.strip()
    if field.is_optional and not text:
        return None
    if field.word and text == field.word:
        return text
    value = _read(field, text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError("should be a number")
        if field.minimum is not None and value < field.minimum:
            raise ValueError(f"should be at least {field.minimum:g}")
        if field.maximum is not None and value > field.maximum:
            raise ValueError(f"should be at most {field.maximum:g}")
    return value


def _read(field: FormField, text: str) -> JsonValue:
    if field.kind == "flag":
        if text.lower() not in _FLAGS:
            raise ValueError("should be true or false")
        return _FLAGS[text.lower()]
    if field.kind == "choice":
        if text not in field.choices:
            raise ValueError(f"should be one of {', '.join(field.choices)}")
        return text
    try:
        if field.kind == "integer":
            return int(text)
        if field.kind == "number":
            return float(text)
        if field.kind == "json":
            value: JsonValue = json.loads(text)
            return value
    except ValueError as error:
        raise ValueError(f"should be {'JSON' if field.kind == 'json' else 'a number'}") from error
    return text


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _of_run(iid: str) -> Given | None:
    try:
        found = source.fetch("submit-from", lambda: source.get_run(iid), of=iid).value
    except ApiRefused as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        return None
    if found is None:
        return None
    return Given(found.run_id, f"**{fmt.plain(run_name(found))}**", found.hyper_params, found.simulated)


def _of_url(trainer: TrainerReply) -> Given:
    known = {field.name: field for field in form_fields(trainer.schema_)}
    values: dict[str, JsonValue] = {TRAINER: trainer.name}
    wrong = []
    for name in st.query_params:
        if name == TRAINER:
            continue
        try:
            if name not in known:
                raise ValueError("there is no such hyperparameter")
            values[name] = read_value(known[name], st.query_params[name])
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        st.warning(
            fmt.plain_lines("Not taken from the link:\n" + "\n".join(wrong)), icon=":material/link_off:"
        )
    # The same link fills in the same form.
    token = f"given-{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"
    return Given(token, "the link", values, trainer.simulated)
