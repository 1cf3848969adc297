"""Every failure as ``{"error": {"code", "message", "details"}}``, the same shape everywhere."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from apiflask import HTTPError
from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestTimeout

from api.access.guard import limit_name
from api.body import reply
from errors import (
    ArchiveUnavailable,
    FieldError,
    LiveUnavailable,
    PlaceUnavailable,
    StoreFull,
    StoreUnavailable,
    TokenNeeded,
    TooMany,
    WattleError,
)
from schema import ErrorBody, ErrorDetail, ErrorReply

# What passes by itself, or soon will.
_TRY_AGAIN = (ArchiveUnavailable, LiveUnavailable, PlaceUnavailable, StoreFull, StoreUnavailable)

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2
MAX_DETAILS = 50
MAX_TEXT = 500  # a reply never echoes a whole oversized input

CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.UNAUTHORIZED: "token_needed",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_TIMEOUT: "too_slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "not_json",
}


def install(app: Flask) -> None:
    """Answer every failure of ``app`` in one shape."""
    app.register_error_handler(WattleError, _answer_wattle_error)
    app.register_error_handler(HTTPError, _answer_invalid_request)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(Exception, _answer_unexpected)


def answer_broken_body(error: Exception) -> Response:  # noqa: ARG001 - its text is for those who know HTTP
    """Answer that the body could not be read: the sender's doing, as when it goes away."""
    return _answer(
        HTTPStatus.BAD_REQUEST, "malformed", "The body is not in chunks as HTTP has them. Send it again."
    )


def _answer(status: int, code: str, message: str, details: Iterable[FieldError] = ()) -> Response:
    shown = [
        ErrorDetail(field=_clip(detail.field), message=_clip(detail.message))
        for detail in list(details)[:MAX_DETAILS]
    ]
    return reply(
        ErrorReply(error=ErrorBody(code=code, message=_clip(message), details=shown)), HTTPStatus(status)
    )


def _clip(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _answer_wattle_error(error: WattleError) -> Response:
    response = _answer(error.http_status, error.code, error.message, error.details)
    if isinstance(error, _TRY_AGAIN):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, TooMany) and error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, TokenNeeded):
        response.headers["WWW-Authenticate"] = 'Bearer realm="wattle"'
    return response


def _answer_invalid_request(error: HTTPError) -> Response:
    """Answer what APIFlask's own validation of a body or a query refused."""
    details = [
        FieldError(_field(location, field), message.removeprefix("Value error, "))
        for location, fields in _mapping(error.detail).items()
        for field, messages in _mapping(fields).items()
        for message in messages
    ]
    listed = "; ".join(f"{detail.field}: {detail.message}" for detail in details[:5])
    return _answer(error.status_code, "invalid_input", f"The request is not valid. {listed}", details)


def _field(location: str, field: str) -> str:
    if location == "headers":
        return field.replace("_", "-").title()
    return "body" if field == "_schema" else field


def _mapping(value: object) -> Mapping[str, list[str]]:
    return value if isinstance(value, Mapping) else {}


def _answer_http_exception(error: HTTPException) -> Response:
    if isinstance(error, ClientDisconnected) and isinstance(error.__context__, TimeoutError):
        error = RequestTimeout("The request took too long to arrive. Send it again, faster.")
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = _answer(status, CODES.get(status, f"http_{status.value}"), _sentence(error, status))
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _sentence(error: HTTPException, status: HTTPStatus) -> str:
    match status:
        case HTTPStatus.NOT_FOUND:
            return f"There is no {request.path}. /docs lists every route."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.path} does not take {request.method}. /docs lists every route."
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            limit = request.max_content_length
            return f"The body is larger than {limit} bytes, the limit set by WATTLE_{limit_name().upper()}."
        case _:
            return error.description or status.phrase


def _answer_unexpected(error: Exception) -> Response:
    log.error("unexpected failure method=%s path=%s", request.method, request.path, exc_info=error)
    return _answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Wattle met a failure it did not expect. The backend's log has the traceback.",
    )
