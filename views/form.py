"""A form made from the JSON schema of a trainer's hyper_params."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st
from pydantic import JsonValue

from views import format as fmt
from views.parts import field_error

Kind = Literal["choice", "flag", "integer", "number", "text", "json"]
Schema = Mapping[str, JsonValue]

# What most people set; a schema can say otherwise with "advanced": true or false.
_ESSENTIAL = ("network", "dataset", "optimizer", "learning_rate", "num_epochs", "batch_size")


@dataclass(frozen=True)
class FormField:
    """One hyperparameter as a form shows it."""

    name: str
    title: str
    kind: Kind
    default: JsonValue = None
    description: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    word: str = ""
    """What may stand in place of a number."""
    is_optional: bool = False
    is_advanced: bool = False

    @property
    def label(self) -> str:
        """The title with the unit, where there is one."""
        is_said = not self.unit or self.unit.lower() == self.title.lower()
        return self.title if is_said else f"{self.title} ({self.unit})"


def form_fields(schema: Schema) -> list[FormField]:
    """Read the fields of a JSON schema, essential ones first; a constant is not a field."""
    properties = _mapping(schema.get("properties"))
    definitions = _mapping(schema.get("$defs"))
    fields = [_field(name, _resolve(_mapping(prop), definitions)) for name, prop in properties.items()]
    shown = [field for field in fields if field is not None]
    rank = {name: position for position, name in enumerate(_ESSENTIAL)}
    return sorted(shown, key=lambda field: (field.is_advanced, rank.get(field.name, len(rank))))


def show_fields(
    fields: Sequence[FormField], *, prefix: str, errors: Mapping[str, str], columns: int = 2
) -> dict[str, JsonValue]:
    """Draw the fields in columns, each with its error below, and return what is filled in."""
    values: dict[str, JsonValue] = {}
    for start in range(0, len(fields), columns):
        for column, field in zip(st.columns(columns), fields[start : start + columns], strict=False):
            with column:
                values[field.name] = _widget(field, key=f"{prefix}:{field.name}")
                if message := errors.get(field.name):
                    field_error(message)
    return {name: value for name, value in values.items() if value is not None}


def number_text(value: JsonValue) -> str:
    """Write a hyperparameter's value the way people do: 0.001, not 0.0010 or 1e-03; a dash for none."""
    if value is None:
        return fmt.MISSING
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _widget(field: FormField, *, key: str) -> JsonValue:
    label, hint = fmt.plain(field.label), fmt.plain(field.description) or None
    if field.kind == "choice":
        return _choice(field, label, key, hint)
    if field.kind == "flag":
        return st.toggle(label, value=bool(field.default), key=key, help=hint)
    if field.kind == "integer":
        number = st.number_input(
            label,
            min_value=_whole(field.minimum),
            max_value=_whole(field.maximum),
            value=field.default if isinstance(field.default, int) else None,
            step=1,
            key=key,
            help=hint,
            placeholder="automatic",
        )
        return _number_or_word(field, number, key)
    if field.kind == "number":
        return st.number_input(
            label,
            min_value=field.minimum,
            max_value=field.maximum,
            value=float(field.default) if isinstance(field.default, int | float) else None,
            step=_step(field),
            format="%g",
            key=key,
            help=hint,
            placeholder="automatic",
        )
    if field.kind == "json":
        return _json_area(field, label, key, hint)
    text = st.text_input(label, value=str(field.default or ""), key=key, help=hint)
    return text.strip() or (None if field.is_optional else "")


def _number_or_word(field: FormField, number: int | None, key: str) -> JsonValue:
    """Offer the word that may stand for the number; while it is chosen the number says nothing."""
    if not field.word:
        return number
    is_word = st.checkbox(
        fmt.plain(field.word),
        value=field.default == field.word,
        key=f"{key}:word",
        help="instead of the number",
    )
    return field.word if is_word else number


def is_unreadable(field: FormField, value: JsonValue) -> bool:
    """Tell whether what was typed for a list or an object is no JSON: it is then still a text."""
    return field.kind == "json" and isinstance(value, str)


def _json_area(field: FormField, label: str, key: str, hint: str | None) -> JsonValue:
    """Draw an area for a list or an object; a text that is none comes back as it is, a reason below."""
    default = "" if field.default is None else json.dumps(field.default, ensure_ascii=False)
    text = st.text_area(label, value=default, key=key, help=hint, placeholder="JSON").strip()
    if not text:
        return None
    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        field_error(f"{field.name}: this is not JSON, {error}")
        return text
    if isinstance(value, str):
        field_error(f'{field.name}: write a list [1, 2] or an object {{"a": 1}}, not a text')
    return value


def _choice(field: FormField, label: str, key: str, hint: str | None) -> str | None:
    index = field.choices.index(str(field.default)) if str(field.default) in field.choices else None
    if index is None and not field.is_optional:
        index = 0
    return st.selectbox(label, field.choices, index=index, key=key, help=hint, placeholder="automatic")


def _field(name: str, prop: Schema) -> FormField | None:
    if "const" in prop:
        return None
    choices = prop.get("enum")
    kind = _kind(prop)
    advanced = prop.get("advanced")
    return FormField(
        name=name,
        title=_title(name, prop),
        kind=kind,
        default=prop.get("default"),
        description=str(prop.get("description", "")),
        unit=str(prop.get("unit") or ""),
        minimum=_number(prop.get("minimum", prop.get("exclusiveMinimum"))),
        maximum=_number(prop.get("maximum", prop.get("exclusiveMaximum"))),
        choices=tuple(map(str, choices)) if isinstance(choices, list) else (),
        word=str(prop.get("word") or ""),
        is_optional=bool(prop.get("nullable")),
        is_advanced=advanced if isinstance(advanced, bool) else name not in _ESSENTIAL,
    )


def _kind(prop: Schema) -> Kind:
    if isinstance(prop.get("enum"), list):
        return "choice"
    kinds: dict[str, Kind] = {"boolean": "flag", "integer": "integer", "number": "number", "string": "text"}
    # A list, an object, or what may be of several types.
    return kinds.get(str(prop.get("type")), "json")


def _title(name: str, prop: Schema) -> str:
    """Prefer the schema's title, unless it is only the name with capitals, as pydantic makes it."""
    words = name.replace("_", " ")
    title = str(prop.get("title") or words)
    if title.lower() == words:
        title = words.replace("num epochs", "epochs")
    return title[:1].upper() + title[1:]


def _resolve(prop: Schema, definitions: Schema) -> Schema:
    """Follow $ref, and look into ``anyOf: [X, null]``, ``anyOf: [number, word]`` and ``allOf: [X]``.

    What stands beside them wins.
    """
    merged: dict[str, JsonValue] = {}
    if isinstance(reference := prop.get("$ref"), str):
        merged.update(_resolve(_mapping(definitions.get(reference.rsplit("/", 1)[-1])), definitions))
        merged.pop("title", None)
        merged.pop("description", None)
    for key in ("anyOf", "allOf"):
        options = prop.get(key)
        for option in options if isinstance(options, list) else []:
            if _mapping(option).get("type") == "null":
                merged["nullable"] = True
            elif isinstance(word := _mapping(option).get("const"), str):
                merged["word"] = word
            else:
                merged.update(_resolve(_mapping(option), definitions))
    merged.update({key: value for key, value in prop.items() if key not in ("$ref", "anyOf", "allOf")})
    return merged


def _step(field: FormField) -> float:
    """Step by a tenth of the default's magnitude, so that 0.001 goes to 0.0011 and 0.9 to 0.91."""
    value = field.default if isinstance(field.default, int | float) and field.default else 0.1
    return float(10.0 ** (math.floor(math.log10(abs(value))) - 1))


def _mapping(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else math.ceil(value)
