"""The live view: training loops send batches to it, and pages and programs watch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response, redirect, request, send_from_directory
from pydantic import Field
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from api.access.callers import bound_project
from api.archived import warm
from api.artifacts.images import make_tiles
from api.body import reply
from api.live.viewers import EventStreamWire, WebSocketWire, Wire, take_over
from api.runs import get_known_run
from api.state import db, live_stage, settings
from errors import NotAllowed
from schema import RUN_ID_PATTERN, Record
from schema.live import (
    DEFAULT_VIEW,
    BatchUpdate,
    BatchUpdateReply,
    LivePoint,
    LiveUpdate,
    ResetReply,
    ResetRequest,
    TicketReply,
    TicketRequest,
)

_STATIC: Final = Path(__file__).resolve().parents[1] / "static" / "live"
live = APIBlueprint("live", __name__, tag="Live", static_folder=str(_STATIC), static_url_path="/live/static")

TICKET_S: Final = 60
PASS_S: Final = 12 * 3600
_FONTS: Final = Path(__file__).resolve().parents[2] / "static"
_PAGE: Final = _STATIC / "live.html"
_FONT: Final = "inter-latin.woff2"


class LiveQuery(Record):
    """What to watch."""

    run_id: str | None = Field(None, pattern=RUN_ID_PATTERN, description="a run; else the default view")


class PageQuery(LiveQuery):
    """How to show the live page."""

    ticket: str | None = Field(
        None, max_length=64, description="lets the dashboard show the page inside its own, once"
    )
    theme: str | None = Field(None, pattern="^(light|dark)$", description="else that of the browser")


class HandedOver(Response):
    """The reply of a request whose connection has been taken over: there is nothing left to send."""

    def __call__(self, environ: Any, start_response: Any) -> Any:  # noqa: ARG002 - the signature is WSGI's
        """End the request as gunicorn wants it to be ended then."""
        raise StopIteration


@live.post("/rpc/batch_update")
@live.input(BatchUpdate, arg_name="body")
@live.output(BatchUpdateReply)
def update_batch(body: BatchUpdate) -> Response:
    """Take the loss of an iteration and samples of its batch into the live view.

    An iteration that is not newer than the newest one is ignored and answered all the same. Sixteen samples
    make a mosaic: smaller batches are gathered, of larger ones sixteen are taken evenly.
    """
    view = _view_of(body.run_id)
    update = LiveUpdate(
        points=(LivePoint(body.iteration, body.loss),),
        batch_size=len(body.samples) if body.batch_size is None else body.batch_size,
        delay_ms=body.delay_ms,
        tiles=make_tiles(body.samples),
    )
    outcome = db().live.update(view, update)
    return reply(
        BatchUpdateReply(iteration=body.iteration, loss=body.loss, tiles_ready=outcome.has_completed)
    )


@live.post("/rpc/reset")
@live.input(ResetRequest, arg_name="body")
@live.output(ResetReply)
def reset_view(body: ResetRequest) -> Response:
    """Empty the live view, for a training that begins."""
    db().live.reset(_view_of(body.run_id))
    return reply(ResetReply())


@live.post("/api/live/tickets")
@live.input(TicketRequest, arg_name="body")
@live.output(TicketReply, status_code=201)
def issue_ticket(body: TicketRequest) -> Response:
    """Issue a ticket with which the dashboard may show the live page inside its own, once."""
    ticket = db().live.issue_ticket(_view_of(body.run_id), ttl_s=TICKET_S)
    expires_at = datetime.now(UTC) + timedelta(seconds=TICKET_S)
    return reply(TicketReply(ticket=ticket, expires_at=expires_at), HTTPStatus.CREATED)


@live.get("/ws", websocket=True)
@live.get("/ws")  # without it, who asks for no WebSocket gets a 400 that does not say why
@live.input(LiveQuery, location="query", arg_name="query")
@live.doc(responses={101: "A WebSocket: a snapshot, then what is new; docs/live.md has the messages"})
def open_socket(query: LiveQuery) -> Response:
    """Watch a live view over a WebSocket."""
    wire = WebSocketWire(request.full_path, request.headers.items())
    return _hand_over(wire, _view_of(query.run_id))


@live.get("/live/events")
@live.input(LiveQuery, location="query", arg_name="query")
@live.doc(responses={200: "Server-sent events with the messages of /ws"})
def open_events(query: LiveQuery) -> Response:
    """Watch a live view as server-sent events."""
    origin = request.headers.get("Origin")
    # The guard has let it through, so it is allowed.
    cors = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")] if origin else []
    wire = EventStreamWire([("X-Content-Type-Options", "nosniff"), *cors])
    return _hand_over(wire, _view_of(query.run_id))


@live.get("/live")
@live.input(PageQuery, location="query", arg_name="query")
@live.doc(responses={200: "The page"})
def show_page(query: PageQuery) -> AnyResponse:
    """Show the live page. With a ticket the dashboard may do so inside its own page."""
    frame = "'none'"
    if query.ticket is not None:
        if db().live.redeem_ticket(query.ticket) != (query.run_id or DEFAULT_VIEW):
            raise Forbidden("The ticket is used up, too old or for another run. Open the Live page again.")
        page = urlsplit(settings().page_url)
        frame = f"{page.scheme}://{page.netloc}"
    response = live.send_static_file("live.html") if query.ticket is None else _page_with_pass(query.run_id)
    response.headers["Content-Security-Policy"] = _page_policy(frame)
    response.headers["Cache-Control"] = "no-store"
    return response


@live.get("/dashboard")
@live.doc(responses={302: "To /live"})
def show_dashboard() -> AnyResponse:
    """Lead to the live page."""
    return redirect("/live")


@live.get(f"/live/static/{_FONT}")
@live.doc(hide=True)
def send_font() -> AnyResponse:
    """Send the dashboard's font."""
    return send_from_directory(_FONTS, _FONT)


def _page_with_pass(run_id: str | None) -> Response:
    """Return the live page with a pass for its view: a browser shows no token."""
    made = db().live.issue_pass(run_id or DEFAULT_VIEW, ttl_s=PASS_S)
    page = _PAGE.read_text("utf-8").replace(
        "<head>\n", f'<head>\n<meta name="wattle-pass" content="{made}">\n', 1
    )
    return Response(page, mimetype="text/html")


def _view_of(run_id: str | None) -> str:
    """Return the view of a run, or the default one.

    Raises NotFound when there is no such run, NotAllowed for the default one with a token of one project.
    """
    if run_id is not None:
        return get_known_run(run_id).run_id
    if bound_project() is not None:
        raise NotAllowed("The live view of all scripts is of no project. Name a run_id of yours.")
    return DEFAULT_VIEW


def _hand_over(wire: Wire, view: str) -> Response:
    """Give this request's connection to the thread that shows live views."""
    if request.method != "GET":
        return Response(status=HTTPStatus.OK)
    stage = live_stage()
    stage.check_room()
    if view != DEFAULT_VIEW:
        warm(view, has_points=True)
    stage.admit(take_over(request.environ), wire, view)
    return HandedOver()


def _page_policy(frame_ancestors: str) -> str:
    # Not every browser takes 'self' for the WebSocket of the same host.
    host = request.headers["Host"]
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors {frame_ancestors}"
    )
