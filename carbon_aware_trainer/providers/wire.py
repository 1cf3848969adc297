"""The connection to a provider: one request at a time, bounded in time and size, in a thread or a loop."""

from __future__ import annotations

import asyncio
import functools
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import httpx

from carbon_aware_trainer.errors import CarbonError, ProviderDown

# A year of hours is 1 MB; more than this is no answer to what is asked here.
LARGEST_ANSWER_BYTES = 32 * 1024 * 1024
AnyTransport = httpx.BaseTransport | httpx.AsyncBaseTransport


@dataclass(frozen=True, slots=True)
class Question:
    """A request; ``headers`` hold the key and are never shown."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0

    @property
    def host(self) -> str:
        """Who is asked, for a message."""
        return httpx.URL(self.url).host


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Wire:
    """Sends requests. Neither a redirect nor a cookie is followed: a key goes to one host only."""

    def __init__(
        self, transport: AnyTransport | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take a transport of httpx, which stays open; None connects."""
        self._transport, self._clock = transport, clock

    def send(self, question: Question) -> Answer:
        """Send a request and wait in this thread. Raises ProviderDown without an answer in time.

        It is sent by a thread of its own, which is left to itself then: nothing ends the look-up of a name,
        and each address of a host, and each step with it, has a time-out for itself.
        """
        landing: Future[Answer] = Future()
        threading.Thread(target=self._land, args=(question, landing), name="carbon-ask", daemon=True).start()
        try:
            return landing.result(question.timeout_s)
        except TimeoutError as err:
            raise _down(question, err) from err

    def _land(self, question: Question, landing: Future[Answer]) -> None:
        try:
            landing.set_result(self._send(question))
        except BaseException as err:  # noqa: BLE001 raised where the answer is waited for
            landing.set_exception(err)

    def _send(self, question: Question) -> Answer:
        end_s = self._clock() + question.timeout_s
        transport = None if self._transport is None else _Kept(self._sync_transport())
        tls = True if transport else _tls()
        try:
            with (
                httpx.Client(transport=transport, verify=tls, timeout=question.timeout_s) as client,
                client.stream(
                    "GET", question.url, params=dict(question.params), headers=dict(question.headers)
                ) as response,
            ):
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += _bounded(question, chunk, len(body), is_late=self._clock() > end_s)
        except httpx.HTTPError as err:
            raise _down(question, err) from err
        return _answer(response, body)

    async def asend(self, question: Question) -> Answer:
        """Send a request from an event loop. Raises ProviderDown without an answer in time."""
        transport = None if self._transport is None else _AsyncKept(self._async_transport())
        tls = True if transport else await asyncio.to_thread(_tls)
        try:
            async with (
                asyncio.timeout(question.timeout_s),
                httpx.AsyncClient(transport=transport, verify=tls, timeout=question.timeout_s) as client,
                client.stream(
                    "GET", question.url, params=dict(question.params), headers=dict(question.headers)
                ) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += _bounded(question, chunk, len(body), is_late=False)
        except (httpx.HTTPError, TimeoutError) as err:
            raise _down(question, err) from err
        return _answer(response, body)

    def _sync_transport(self) -> httpx.BaseTransport:
        if isinstance(self._transport, httpx.BaseTransport):
            return self._transport
        raise CarbonError(
            "This transport is for async calls only. Use the a… method, or httpx.HTTPTransport."
        )

    def _async_transport(self) -> httpx.AsyncBaseTransport:
        if isinstance(self._transport, httpx.AsyncBaseTransport):
            return self._transport
        raise CarbonError(
            "This transport is for sync calls only. Use httpx.AsyncHTTPTransport for a… methods."
        )


class _Kept(httpx.BaseTransport):
    """A caller's transport, which a client of ours does not close."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._transport.handle_request(request)


class _AsyncKept(httpx.AsyncBaseTransport):
    """The same in an event loop."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Read the certificates once: it takes tens of milliseconds, which no event loop has to spare."""
    return httpx.create_ssl_context()


def _bounded(question: Question, chunk: bytes, known_bytes: int, *, is_late: bool) -> bytes:
    if known_bytes + len(chunk) > LARGEST_ANSWER_BYTES:
        raise ProviderDown(f"{question.host} sent more than {LARGEST_ANSWER_BYTES >> 20} MB. Check its URL.")
    if is_late:
        raise httpx.ReadTimeout("the answer trickles")
    return chunk


def _answer(response: httpx.Response, body: bytearray) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body))


def _down(question: Question, err: Exception) -> ProviderDown:
    """Say what went wrong; nothing of the exception's own text, in which a header may stand."""
    if isinstance(err, httpx.TimeoutException | TimeoutError):
        why = f"did not answer within {question.timeout_s:.3g} s. It may be slow now: try again later."
    elif isinstance(err, httpx.ConnectError):
        why = "cannot be reached. Check the network, the proxy and the provider's URL."
    else:
        why = "broke off its answer. Try again later."
    return ProviderDown(f"{question.host} {why}")
