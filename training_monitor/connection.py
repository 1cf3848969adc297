"""Requests to Wattle's API."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, BinaryIO, Final

import httpx

from training_monitor.errors import KeyNeeded, MonitorError, ServerAway, ServerRefused

DEFAULT_URL: Final = "http://127.0.0.1:5000"
_LOOPBACK: Final = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:|/|$)", re.IGNORECASE)
_WORTH_PACKING_BYTES: Final = 2_000
# Answers after which the same request may succeed later.
_LATER: Final = (408, 425, 429)
# The server puts a file on its disk, or sends it on to a store, before it answers.
_FILE_TIMEOUT: Final = httpx.Timeout(10.0, read=300.0, write=60.0)


def default_url() -> str:
    """Return the API's address: WATTLE_API_URL, else this host's port 5000."""
    return os.environ.get("WATTLE_API_URL") or DEFAULT_URL


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom to trust, read once: a megabyte and 20 ms for each connection of each run otherwise."""
    return httpx.create_ssl_context()


class Connection:
    """The API at one address, with the token of WATTLE_API_TOKEN. Safe to share between threads.

    Every method raises ServerAway, KeyNeeded or ServerRefused.
    """

    def __init__(
        self, api_url: str, *, transport: httpx.BaseTransport | None = None, timeout_s: float = 10.0
    ) -> None:
        """Take the address; nothing is asked yet."""
        self.api_url = api_url.rstrip("/")
        token = os.environ.get("WATTLE_API_TOKEN")
        # Idle connections are dropped before the server does, so that no request meets a closing one; and
        # with a transport of its own the API's address never goes through HTTP_PROXY.
        limits = httpx.Limits(keepalive_expiry=0.9)
        self._transport = transport or httpx.HTTPTransport(verify=_trusted(), limits=limits)
        self._http = httpx.Client(
            transport=self._transport,
            timeout=timeout_s,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            # It only builds requests: transports of its own for HTTP_PROXY would never be used.
            trust_env=False,
        )
        # To another host, bytes cost more than the time to pack them.
        self._must_pack = not _LOOPBACK.match(self.api_url)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return what is at a path."""
        return self._read("GET", path, params=params)

    def post(self, path: str, body: bytes | Mapping[str, Any], *, key: str | None = None) -> Any:
        """Send JSON. key: makes it one request, however often it is sent."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self._must_pack and len(content) > _WORTH_PACKING_BYTES:
            content = gzip.compress(content, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        if key:
            headers["Idempotency-Key"] = key
        return self._read("POST", path, content=content, headers=headers)

    def post_file(
        self,
        path: str,
        pieces: Iterator[bytes],
        *,
        params: Mapping[str, Any],
        content_type: str,
        size_bytes: int,
    ) -> Any:
        """Send a file piece by piece."""
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes)}
        return self._read("POST", path, params=params, content=pieces, headers=headers, timeout=_FILE_TIMEOUT)

    def fetch_file(self, path: str, to: BinaryIO) -> str:
        """Write what is at a path to a file piece by piece, and return its SHA-256. Raises OSError, too."""
        answer = self._ask("GET", path, timeout=_FILE_TIMEOUT)
        found = hashlib.sha256()
        try:
            if not answer.is_success:
                answer.read()
                raise self._refusal(answer)
            for piece in answer.iter_bytes():
                found.update(piece)
                to.write(piece)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        finally:
            answer.close()
        return found.hexdigest()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _read(self, method: str, path: str, **request: Any) -> Any:
        answer = self._ask(method, path, **request)
        try:
            answer.read()
        except httpx.HTTPError as error:
            raise self._away(error) from error
        if answer.is_success:
            return self._parse(answer)
        raise self._refusal(answer)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Return the answer, of which the body is still to be read."""
        try:
            # Not through the client, which logs each request: twice a second, into the user's own log.
            sent = self._http.build_request(method, f"{self.api_url}{path}", **request)
            return self._transport.handle_request(sent)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise ServerRefused(0, f"WATTLE_API_URL={self.api_url} is no address: {error}") from error

    def _away(self, error: httpx.HTTPError) -> ServerAway:
        return ServerAway(
            f"Wattle does not answer at {self.api_url}: {error}. Is it running? Set WATTLE_API_URL."
        )

    def _refusal(self, answer: httpx.Response) -> MonitorError:
        said = _reason(answer)
        if answer.status_code in (401, 403):
            return KeyNeeded(f"Wattle at {self.api_url} wants another WATTLE_API_TOKEN: {said}")
        if answer.status_code >= 500 or answer.status_code in _LATER:
            text = f"Wattle at {self.api_url} answered {answer.status_code}: {said}"
            return ServerAway(text, answer.status_code)
        if not _is_ours(answer):
            # Nothing may be given up for what a proxy, or whatever else has this port, says.
            text = f"What answers {answer.status_code} at {self.api_url} is not Wattle; set WATTLE_API_URL."
            return ServerAway(text, answer.status_code)
        return ServerRefused(answer.status_code, said)

    def _parse(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise ServerAway(f"What answers at {self.api_url} is not Wattle; set WATTLE_API_URL.") from error


def _is_ours(answer: httpx.Response) -> bool:
    """Whether an error is one of Wattle's API: {"error": {"code", "message", …}}."""
    try:
        error = answer.json()["error"]
        return isinstance(error["code"], str) and isinstance(error["message"], str)
    except (ValueError, KeyError, TypeError):
        return False


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase or "no reason"
