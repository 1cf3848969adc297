"""The door: who may call, from which page, with what kind of body.

Host is checked on every request, so that a web page whose name was re-bound to 127.0.0.1 cannot read runs.
Writes also need a content type that a plain HTML form cannot send, JSON but for files, and a known Origin.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Forbidden, RequestEntityTooLarge, UnsupportedMediaType

from api.packed import unpack_body
from api.shapes import SHAPES, check_shape
from settings import Settings

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# The setting that limits the body of a request, where it is not the general one.
GENERAL_LIMIT = "max_body_bytes"
LIMITS = {
    "metrics.record_points": "max_batch_bytes",
    "metrics.append_log": "max_batch_bytes",
    "histograms.record_histograms": "max_batch_bytes",
    "live.update_batch": "live_body_bytes",
}
# Bodies that are files: their views read them piece by piece, and limit them.
UPLOADS = frozenset({"artifacts.store_artifact", "moving.import_runs"})
# What a plain form can send, so that a page of another site needs no leave for it.
FORM_TYPES = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, never bound to
# What a page of another site may not open either: CORS does not cover WebSockets, and each takes a place.
STREAMS = frozenset({"live.open_socket", "live.open_events"})
# What every answer says unless its view says otherwise.
HARDENED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def install(app: Flask, settings: Settings, admit: Callable[[], None]) -> None:
    """Guard every route of ``app``, unknown ones included.

    admit: refuses who may not call; asked once Host and Origin are known to be good, before any body is read.
    """
    names = _allowed_names(settings)
    shapes = {endpoint: shape_of(settings) for endpoint, shape_of in SHAPES.items()}
    origins = frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins)

    @app.before_request
    def check() -> Response | None:
        _check_host(names)
        if request.method == "OPTIONS" and _origin() in origins:
            return Response(status=204)
        if request.method in WRITES or request.endpoint in STREAMS:
            _check_origin(origins)
        admit()
        if request.method in WRITES and request.routing_exception is None:
            if request.endpoint in UPLOADS:
                _check_upload()
                return None
            _check_content_type()
            limit: int = getattr(settings, limit_name())
            request.max_content_length = limit
            unpack_body(limit)
            _check_length(limit)
            if (shape := shapes.get(request.endpoint or "")) is not None:
                check_shape(request.get_data(), shape)
        return None

    @app.after_request
    def harden(response: Response) -> Response:
        for name, text in HARDENED.items():
            response.headers.setdefault(name, text)
        if request.headers.get("Authorization"):
            response.headers.setdefault("Cache-Control", "no-store")
        if origins:
            _answer_cors(response.headers, origins)
        return response


def _allowed_names(settings: Settings) -> frozenset[str]:
    own = () if settings.host in ANY_ADDRESS else (settings.host,)
    return frozenset(name.lower().strip("[]") for name in (*settings.allowed_hosts, *own))


def _origin() -> str | None:
    origin = request.headers.get("Origin")
    return None if origin is None else origin.lower()


def _host_name(host: str) -> str | None:
    """Return the name in a Host header, without port and brackets; None when it is not a host."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises ValueError when it is not a number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _check_host(names: frozenset[str]) -> None:
    host = request.headers.get("Host", "")
    if _host_name(host) not in names:
        raise Forbidden(
            f"This API does not answer to the host {host!r}. "
            "If you mean it to, add the name to WATTLE_ALLOWED_HOSTS and restart the backend."
        )


def _check_origin(origins: frozenset[str]) -> None:
    """Refuse writes that a page of another site started; programs send neither header."""
    origin = _origin()
    if origin is None:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Forbidden("A web page of another site may not write or watch here.")
    elif origin not in origins and origin not in _own_origins():
        raise Forbidden(
            f"Pages from the origin {origin!r} may not write or watch here. "
            "If you mean them to, add it to WATTLE_ALLOWED_ORIGINS and restart the backend."
        )


def _own_origins() -> tuple[str, str]:
    """The API's origin, with and without a TLS proxy before it; its Host has been checked."""
    host = request.headers["Host"].lower()
    return f"http://{host}", f"https://{host}"


def _check_content_type() -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(
            "Send the body as UTF-8 JSON with the header Content-Type: application/json."
        )


def _check_upload() -> None:
    if not _MEDIA_TYPE.fullmatch(request.mimetype) or request.mimetype in FORM_TYPES:
        raise UnsupportedMediaType(
            "Send the bytes of the file as the body, with a Content-Type that no HTML form can send, such as "
            "application/octet-stream or image/png."
        )
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the bytes of the file as they are, not packed.")


def limit_name() -> str:
    """Name the setting that limits the body of this request."""
    return LIMITS.get(request.endpoint or "", GENERAL_LIMIT)


def _check_length(max_body_bytes: int) -> None:
    """Refuse a chunked body that is too large; Flask does so only where Content-Length says it.

    Werkzeug cuts a chunked body off at the limit without a word, so one that reaches it counts as too large.
    """
    if request.content_length is None and len(request.get_data()) >= max_body_bytes:
        raise RequestEntityTooLarge


def _answer_cors(headers: Headers, origins: frozenset[str]) -> None:
    """Tell browsers what allowed origins may do; without any, no CORS header is ever sent."""
    headers.add("Vary", "Origin")
    if _origin() in origins:
        headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key"
