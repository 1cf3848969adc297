"""``wattle doctor``: what is not as it should be, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text

from cli.checks import check_machine, check_ports, check_provider, is_here, is_open, make_check
from cli.connecting import Api, AsJson, connect
from cli.showing import console, plain, print_json
from client import Client
from errors import ApiError, ApiRefused
from schema.doctor import Check, DoctorReply, check_clock
from settings import load_settings

app = typer.Typer()

# The API looks into three places for 4 s each at most.
_PATIENCE_S = 20.0
Online = Annotated[bool, typer.Option("--online", help="Also ask the provider of carbon intensities.")]


@app.command("doctor")
def examine(online: Online = False, as_json: AsJson = False, api: Api = None) -> None:
    """Look at everything Wattle needs, here and at the API, and say how to mend what is not as it should be.

    Ends with 1 where a check failed; a warning is none.
    """
    settings = load_settings()
    with connect(api, timeout_s=_PATIENCE_S) as client:
        seen = list(_check_api(client))
        has_api = seen[0].state == "ok" and is_here(client.api_url)
        has_page = any(check.name == "page" and check.state == "ok" for check in seen)
    checks = (
        *seen,
        *check_machine(settings),
        *check_ports(settings, has_api=has_api, has_page=has_page),
        check_provider(settings, is_online=online),
    )
    if as_json:
        print_json(DoctorReply(checks=checks))
    else:
        _show(checks)
    raise typer.Exit(1 if any(check.state == "failed" for check in checks) else 0)


def _check_api(client: Client) -> Iterator[Check]:
    """Ask the API; whether it answers comes first."""
    try:
        health = client.get_health()
        now = datetime.now(UTC)
    except ApiError as error:
        yield make_check("API", "failed", f"{client.api_url} does not answer", str(error))
        return
    version = f", version {health.version}" if health.version else ""  # which strangers are not told
    yield make_check("API", "ok", f"{client.api_url} answers{version}")
    yield check_clock("here", told=health.time, own=now)
    try:
        yield _check_page(client.get_page().page_url)
        yield from client.examine().checks
    except ApiRefused as error:
        yield make_check("API", "failed", "it does not tell what it stands on", str(error))


def _check_page(url: str) -> Check:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if is_open(parts.hostname or "", port):
        return make_check("page", "ok", f"{url} answers")
    remedy = (
        "Start it with 'streamlit run frontend.py' or 'wattle up', or set WATTLE_PAGE_URL of the backend."
    )
    return make_check("page", "warning", f"{url} does not answer", remedy)


def _show(checks: tuple[Check, ...]) -> None:
    out = console()
    styles = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    for check in checks:
        name = f"{check.name} (API)" if check.place == "API" else check.name
        line = Text.assemble(
            (f"{check.state:<8}", styles[check.state]), f"{plain(name)}: {plain(check.found)}"
        )
        out.print(line, soft_wrap=True)
        if check.remedy and check.state != "ok":
            out.print(Text(f"        → {plain(check.remedy)}"), soft_wrap=True)
