"""Whether the API can do its work."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from importlib import metadata
from typing import Any

from apiflask import APIBlueprint
from flask import Response, redirect
from werkzeug.wrappers import Response as WerkzeugResponse

from api.access.callers import find_caller
from api.body import reply
from api.plugins import list_plugins
from api.state import db, live_stage, settings
from errors import StoreTooNew, StoreUnavailable
from schema import HealthReply, PageReply

health = APIBlueprint("health", __name__, tag="Health")


def installed_version() -> str:
    """Return the installed version; a checkout that is not installed is "0+unknown"."""
    try:
        return metadata.version("wattle")
    except metadata.PackageNotFoundError:
        return "0+unknown"


VERSION = installed_version()
UNAVAILABLE: dict[int | str, dict[str, str | dict[str, dict[str, Any]]]] = {
    503: {
        "description": "Redis cannot be reached, or a newer version of Wattle wrote the store",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HealthReply"}}},
    }
}


@health.get("/healthz")
@health.output(HealthReply)
@health.doc(responses=UNAVAILABLE)
def get_health() -> Response:
    """Say whether Redis can be reached and could lose runs, and who works. 200 if it can be, 503 if not.

    Who needs a token and shows none is told only that. 503 also where a newer version of Wattle wrote the
    store; ``warnings`` says which.
    """
    try:
        return reply(_measure() if find_caller() else _show_stranger())
    except (StoreTooNew, StoreUnavailable) as error:
        is_newer, is_known = isinstance(error, StoreTooNew), find_caller() is not None
        absent = HealthReply(
            status="unavailable",
            redis="reachable" if is_newer else "unreachable",
            warnings=[error.message] if is_newer and is_known else [],
            version=VERSION if is_known else "",
            workers=[],
            waiting=None,
            time=datetime.now(UTC),
            live_viewers=live_stage().viewer_count if find_caller() else 0,
        )
        return reply(absent, HTTPStatus.SERVICE_UNAVAILABLE)


@health.get("/")
@health.output({}, status_code=302)
def lead_to_page() -> WerkzeugResponse:
    """Lead a browser to the page, at WATTLE_PAGE_URL."""
    return redirect(settings().page_url)


@health.get("/api/page")
@health.output(PageReply)
def get_page() -> Response:
    """Answer where people find the page, for programs that print links to it."""
    return reply(PageReply(page_url=settings().page_url.rstrip("/")))


def _show_stranger() -> HealthReply:
    """Tell who needs a token and shows none that the API works, and nothing else."""
    return HealthReply(
        status="ok", redis="reachable", version="", workers=[], waiting=None, time=db().now(), warnings=[]
    )


def _measure() -> HealthReply:
    return HealthReply(
        status="ok",
        redis="reachable",
        version=VERSION,
        workers=db().workers.list_live(),
        waiting=db().queue.length(),
        time=db().now(),
        live_viewers=live_stage().viewer_count,
        warnings=db().fitness.list_warnings(),
        plugins=list_plugins(),
    )
