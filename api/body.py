"""Strict reading of JSON bodies, and writing of records as JSON replies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Response
from flask.json.provider import DefaultJSONProvider
from pydantic import BaseModel, JsonValue
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest


class StrictJSONProvider(DefaultJSONProvider):
    """Read only JSON that any other program would read the same way.

    Python's own parser takes NaN and lone surrogates, which neither Redis scores nor UTF-8 can hold, and
    raises RecursionError, which is no ValueError, on deep nesting.
    """

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Parse ``s``. Raises BadRequest when it is not JSON, or holds what cannot be stored."""
        try:
            value: JsonValue = from_json(s, allow_inf_nan=False)
        except ValueError as error:
            raise BadRequest(f"The body is not valid JSON: {error}.") from error
        if value is None:
            raise BadRequest("The body is null. Send a JSON object.")  # APIFlask would take it for {}
        for scalar in _scalars(value):
            if isinstance(scalar, float) and not math.isfinite(scalar):
                raise BadRequest("The body holds a number that is too large for a float. Send a smaller one.")
            if isinstance(scalar, str) and "\0" in scalar:
                raise BadRequest("The body holds a NUL character in a text. Remove it.")
        return value


def _scalars(value: JsonValue) -> Iterator[JsonValue]:
    """Yield every key and leaf of a parsed body; the parser bounds the depth at 200."""
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    else:
        yield value


def reply(record: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Write ``record`` as the JSON reply; it is not validated again."""
    return Response(record.model_dump_json(by_alias=True), status=status, mimetype="application/json")
