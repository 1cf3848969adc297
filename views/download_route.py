"""What answers the page's links to files: it passes on what the API sends, and writes the rest itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from client import Client
from client.files import ASKED, SentFile
from errors import ApiRefused, ApiUnavailable
from views.download_links import LASTS_S, PATH, Offer, find_link

_NOT_OURS: Final = "This link is not from the page as it is now. Reload the page, and click there again."
_TOO_OLD: Final = (
    f"This link is older than {LASTS_S // 3600 - 1} hours. Reload the page, and click there again."
)
# A file may be a stranger's: no browser shall take it for a page of ours, even if it opens it.
_POLICY: Final = "sandbox; default-src 'none'"


def _hand_out(request: Request) -> Response:
    """Answer a file as an attachment; what keeps it from coming is said in words."""
    link = find_link(request.path_params["file_name"], request.query_params)
    if link is None:
        return PlainTextResponse(_NOT_OURS, 403)
    if link.is_over():
        return PlainTextResponse(_TOO_OLD, 410)
    try:
        return _answer(link.offer, {name: request.headers[name] for name in ASKED if name in request.headers})
    except ApiRefused as error:
        return PlainTextResponse(str(error), error.status)
    except ApiUnavailable as error:
        return PlainTextResponse(str(error), 503)


def _answer(offer: Offer, part: dict[str, str]) -> Response:
    # Not above: what the pages keep between two drawings has no place before the server runs.
    from views import source
    from views.run import files as run_files

    if offer.source == "api":
        return _pass_on(source.api(), offer, part)
    write = run_files.write_log if offer.source == "log" else run_files.write_epochs
    kind = "text/plain" if offer.source == "log" else "text/csv"
    return Response(write(source.api(), offer.of), media_type=kind, headers=_headers(offer))


def _pass_on(api: Client, offer: Offer, part: dict[str, str]) -> Response:
    sent = api.open_file(offer.of, part)
    return StreamingResponse(_pieces(sent), sent.status, {**sent.headers, **_headers(offer)})


async def _pieces(sent: SentFile) -> AsyncIterator[bytes]:
    """Yield what comes, in a thread only while it is waited for; who goes away ends it."""
    with sent:
        async for piece in iterate_in_threadpool(sent.pieces()):
            yield piece


def _headers(offer: Offer) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(offer.file_name, safe='')}",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


DOWNLOADS: Final = Route(PATH, _hand_out, methods=["GET"])
