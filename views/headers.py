"""Headers that every answer of the page carries: what a browser may do with it."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No other site may put the page into a frame and have its buttons clicked unseen; no picture is fetched from
# elsewhere, whatever text a run carries.
POLICY: Final = "frame-ancestors 'self'; img-src 'self' data: blob:"


class _AddHeaders:
    """Add the headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        await self._app(scope, receive, send_with_headers)


HEADERS: Final = Middleware(_AddHeaders)
