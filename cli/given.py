"""What was given on the command line, as values and records."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

import typer
from pydantic import BaseModel, JsonValue, ValidationError

from errors import FieldError, InvalidInput

Given = TypeVar("Given", bound=BaseModel)
_RANGE: Final = re.compile(r"(?P<low>.+?)\.\.(?P<high>[^:]+)(?::(?P<step>.+))?")


def read_value(text: str) -> tuple[str, JsonValue]:
    """Read NAME=VALUE, the value as JSON where it is such, else as a text."""
    name, is_pair, value = text.partition("=")
    if not (name and is_pair):
        raise typer.BadParameter(f"give NAME=VALUE, as in learning_rate=0.01, not {text!r}")
    return name, as_json_or_text(value)


def as_json_or_text(text: str) -> JsonValue:
    """Return what a text says as JSON, else the text."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def read_dimension(text: str) -> tuple[str, dict[str, JsonValue]]:
    """Read NAME=LOW..HIGH, with :log or :STEP behind it, or NAME=A,B,C."""
    name, is_pair, values = text.partition("=")
    if not (name and is_pair and values):
        raise typer.BadParameter(f"give NAME=VALUES, as in lr=1e-4..1e-1:log, not {text!r}")
    if not (found := _RANGE.fullmatch(values)):
        return name, {"type": "categorical", "choices": [as_json_or_text(part) for part in values.split(",")]}
    ends = {end: _number(found[end]) for end in ("low", "high")}
    step = found["step"]
    more: dict[str, JsonValue] = (
        {} if step is None else {"log": True} if step == "log" else {"step": _number(step)}
    )
    is_whole = all(isinstance(value, int) for value in (*ends.values(), *more.values()))
    return name, {"type": "int" if is_whole else "float", **ends, **more}


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no number") from None


def read_object(text: str) -> Mapping[str, JsonValue]:
    """Read a JSON object: as it is, from @file, or with - from the standard input.

    Raises OSError for the file, InvalidInput for what is no JSON object.
    """
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text("utf-8")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f'The body is no JSON: {error}. Send one such as {{"num_epochs": 5}}.') from error
    if not isinstance(body, dict):
        raise InvalidInput('The body is no JSON object. Send one such as {"num_epochs": 5}.')
    return body


def make_record(kind: type[Given], values: object, *, place: str = "") -> Given:
    """Return what was given as a record. Raises InvalidInput that names the first field that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        found = [
            FieldError(".".join(map(str, (*filter(None, [place]), *item["loc"]))), item["msg"])
            for item in error.errors(include_url=False)
        ]
        first = found[0]
        raise InvalidInput(
            f"{first.field}: {first.message}. Correct it, or leave it out.", details=found
        ) from error
