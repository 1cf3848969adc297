"""What the page's links to files answer: the API's bytes, the page's own texts, and why there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from streamlit.testing.v1 import AppTest

from api.artifacts.downloads import MOST_AT_ONCE
from redis_db import RedisDB
from schema import EpochResult
from tests.acted_run import ActedRun
from tests.integration.test_views import Open, api_url, open_page
from tests.programs import ROOT, wait_until
from tests.sent_files import send
from tests.weights import safetensors
from views import headers
from views.download_links import Offer, find_offer, link_to
from views.download_route import DOWNLOADS

__all__ = ["api_url", "open_page"]


@pytest.fixture
def page(api_url: str, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("WATTLE_API_URL", api_url)
    with TestClient(Starlette(routes=[DOWNLOADS], middleware=[headers.HEADERS])) as client:
        yield client


def links(app: AppTest) -> dict[str, str]:
    """The drawn links to files, by the name of the file."""
    found: list[Any] = list(app.get("link_button"))
    return {urlsplit(one.proto.url).path.rpartition("/")[2]: one.proto.url for one in found}


def checkpoint_of(api_url: str) -> str:
    iid = str(
        httpx.post(f"{api_url}/api/experiments", json={"name": "a"}, trust_env=False, timeout=60).json()[
            "iid"
        ]
    )
    send(api_url, iid, "nets/w.safetensors", safetensors(), kind="checkpoint")
    return iid


def test_a_file_comes_as_the_api_sends_it_whole_or_in_part(
    page: TestClient, api_url: str, open_page: Open
) -> None:
    link = links(open_page("run", api_url, iid=checkpoint_of(api_url)))["nets-w-v1.safetensors"]

    whole = page.get(link)
    assert (whole.status_code, whole.content) == (200, safetensors())
    assert whole.headers["Content-Length"] == str(len(safetensors()))
    assert whole.headers["Content-Disposition"] == "attachment; filename*=UTF-8''nets-w-v1.safetensors"
    assert whole.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["X-Frame-Options"] == "SAMEORIGIN"
    part = page.get(link, headers={"Range": "bytes=3-9", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, safetensors()[3:10])
    assert part.headers["Content-Range"] == f"bytes 3-9/{len(safetensors())}"


def test_the_page_draws_the_same_link_again_and_again(api_url: str, open_page: Open) -> None:
    app = open_page("run", api_url, iid=checkpoint_of(api_url))
    drawn = links(app)
    assert drawn
    assert links(app.run()) == drawn


def test_the_log_and_the_epochs_of_a_run_come_as_text(
    page: TestClient, api_url: str, open_page: Open, db: RedisDB
) -> None:
    acted = ActedRun(db)
    acted.record(2)
    db.log.append(acted.lease, ["half of it = ½", "the last line"])
    drawn = links(open_page("run", api_url, iid=acted.run_id))

    log = page.get(drawn[f"wattle-{acted.run_id}.log"])
    assert [line.partition(" ")[2] for line in log.text.splitlines()] == ["half of it = ½", "the last line"]
    assert log.headers["Content-Type"] == "text/plain; charset=utf-8"
    table = page.get(drawn[f"wattle-{acted.run_id}-epochs.csv"])
    names, *rows = table.text.splitlines()
    assert names.split(",") == list(EpochResult.model_fields)
    assert [row.partition(",")[0] for row in rows] == ["1", "2"]
    assert table.headers["Content-Disposition"].startswith("attachment;")


def test_the_leaderboard_comes_in_each_form(
    page: TestClient, api_url: str, open_page: Open, db: RedisDB
) -> None:
    acted = ActedRun(db)
    acted.record(2)
    acted.finish()
    drawn = links(open_page("leaderboard", api_url))
    assert sorted(drawn) == ["leaderboard.csv", "leaderboard.json", "leaderboard.parquet"]
    found = {name: page.get(link) for name, link in drawn.items()}
    assert {reply.status_code for reply in found.values()} == {200}
    assert acted.run_id in found["leaderboard.csv"].text
    assert found["leaderboard.parquet"].content[:4] == b"PAR1"


@pytest.mark.parametrize("changed", ["of", "seal", "source", "name"])
def test_a_link_that_the_page_has_not_made_leads_nowhere(page: TestClient, changed: str) -> None:
    address = urlsplit(link_to(Offer("log", "a" * 32, "a.log")))
    query = dict(parse_qsl(address.query))
    if changed != "name":
        query[changed] = {"of": "b" * 32, "seal": "0" * 64, "source": "api"}[changed]
    reply = page.get("/download/b.log" if changed == "name" else address.path, params=query)
    assert reply.status_code == 403
    assert "Reload the page" in reply.text
    assert reply.headers["Content-Security-Policy"] == headers.POLICY


def test_a_name_of_any_letters_is_found_again() -> None:
    offer = Offer("log", "a" * 32, "ä / %2F?&#.log")
    address = urlsplit(link_to(offer))
    with TestClient(Starlette()) as client:
        path = client.build_request("GET", address.geturl()).url.path
    assert path == f"/download/{offer.file_name}"
    assert find_offer(offer.file_name, dict(parse_qsl(address.query))) == offer


def test_what_keeps_a_file_from_coming_is_said_in_words(page: TestClient) -> None:
    gone = page.get(link_to(Offer("api", f"/api/artifacts/{'a' * 32}/w.bin", "w.bin")))
    assert gone.status_code == 404
    assert "{" not in gone.text
    assert gone.headers["Content-Type"].startswith("text/plain")


def test_no_api_is_said_in_words(page: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_API_URL", "http://127.0.0.1:9")
    for offer in (Offer("api", "/api/artifacts/a/w.bin", "w.bin"), Offer("log", "a" * 32, "a.log")):
        reply = page.get(link_to(offer))
        assert (reply.status_code, "No answer from http://127.0.0.1:9" in reply.text) == (503, True)


async def abandon(link: str) -> None:
    """Ask for a file as a browser that goes away with its first bytes."""
    has_begun, address = asyncio.Event(), urlsplit(link)

    async def receive() -> Message:
        await has_begun.wait()
        return {"type": "http.disconnect"}

    async def take(message: Message) -> None:
        if message["type"] == "http.response.body":
            has_begun.set()

    scope: Scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"}
    path, query = unquote(address.path), address.query.encode()
    more = {"path": path, "raw_path": address.path.encode(), "query_string": query, "root_path": ""}
    await Starlette(routes=[DOWNLOADS])({**scope, **more, "headers": []}, receive, take)


def test_who_goes_away_gives_back_the_place_of_the_download(page: TestClient, api_url: str) -> None:
    iid = checkpoint_of(api_url)
    # More than the sockets on the way hold: the API cannot have sent it and forgotten it.
    send(api_url, iid, "large.bin", bytes(30_000_000))
    link = link_to(Offer("api", f"/api/artifacts/{iid}/large.bin", "large.bin"))
    for _ in range(MOST_AT_ONCE + 2):
        asyncio.run(abandon(link))
    wait_until(lambda: page.get(link).status_code == 200)


def test_no_page_has_a_button_whose_file_is_gone_when_it_is_drawn_again() -> None:
    files = (ROOT / "views").rglob("*.py")
    assert [path.name for path in files if "st.download_button(" in path.read_text()] == []
