"""One connection to the API: requests, and what their answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from errors import ApiRefused, ApiUnavailable, FieldError
from schema import ErrorReply

Reply = TypeVar("Reply", bound=BaseModel)
Sign = Callable[[str, str], Mapping[str, str]]


class Connection:
    """Sends requests and reads answers."""

    def __init__(
        self,
        api_url: str,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = 5.0,
        sign: Sign | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        sign: is given the method and the path of each request; returns headers to add, or refuses by raising.
        """
        self.api_url = api_url.rstrip("/")
        # A transport of our own keeps the API's address from going through HTTP_PROXY. It drops idle
        # connections before the server does (gunicorn.conf.py), so that no request meets a closing one.
        transport = transport or httpx.HTTPTransport(limits=httpx.Limits(keepalive_expiry=0.5))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        hooks = {"request": [_signing(sign, urlsplit(self.api_url).path)]} if sign else {}
        self._http = httpx.Client(transport=transport, timeout=timeout_s, headers=headers, event_hooks=hooks)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
        expected: tuple[int, ...] = (200, 201),
    ) -> httpx.Response:
        try:
            response = self._http.request(
                method, f"{self.api_url}{path}", params=params, json=json, headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        if response.status_code not in expected:
            raise self._refusal(response)
        return response

    def _upload(self, path: str, pieces: Iterator[bytes], content_type: str) -> httpx.Response:
        """Send a body as it comes, and wait for the answer as long as it takes."""
        headers = {"Content-Type": content_type}
        try:
            response = self._http.post(f"{self.api_url}{path}", content=pieces, headers=headers, timeout=None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        if response.status_code not in (200, 201):
            raise self._refusal(response)
        return response

    def _open(self, path: str, headers: Mapping[str, str], *, expected: tuple[int, ...]) -> httpx.Response:
        """Send a request whose answer the caller reads, and closes."""
        try:
            request = self._http.build_request("GET", f"{self.api_url}{path}", headers=headers)
            response = self._http.send(request, stream=True)
            if response.status_code not in expected:
                response.read()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        if response.status_code not in expected:
            raise self._refusal(response)
        return response

    def _silent(self, error: Exception) -> ApiUnavailable:
        return ApiUnavailable(
            f"No answer from {self.api_url} ({_cause(error)}). Start the backend with "
            "'python backend.py' or 'make up', or set WATTLE_API_URL to where it runs."
        )

    def _refusal(self, response: httpx.Response) -> ApiRefused | ApiUnavailable:
        try:
            error = ErrorReply.model_validate_json(response.content).error
        except ValidationError:
            return self._foreign(response)
        return ApiRefused(
            error.message,
            status=response.status_code,
            error_code=error.code,
            details=[FieldError(detail.field, detail.message) for detail in error.details],
        )

    def _read(self, kind: type[Reply], response: httpx.Response) -> Reply:
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise self._foreign(response) from error

    def _foreign(self, response: httpx.Response) -> ApiUnavailable:
        return ApiUnavailable(
            f"{self.api_url} answered {response.status_code}, but not as this version of Wattle's API does. "
            "Set WATTLE_API_URL to where the backend runs; after an update, restart it."
        )


def _signing(sign: Sign, place: str) -> Callable[[httpx.Request], None]:
    """Make what signs each request; place: the path that the API's own address has."""

    def add(request: httpx.Request) -> None:
        path = request.url.raw_path.decode("ascii", "replace").partition("?")[0]
        request.headers.update(sign(request.method, path.removeprefix(place)))

    return add


def segment(iid: str) -> str:
    """Quote ``iid`` so that it stays one part of the path; a lone dot would be resolved away."""
    quoted = "".join(char if char.isalnum() and char.isascii() else _percent(char) for char in iid)
    return quoted or "%20"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))


def _cause(error: Exception) -> str:
    return (
        "it took too long" if isinstance(error, httpx.TimeoutException) else str(error) or "no reason given"
    )
