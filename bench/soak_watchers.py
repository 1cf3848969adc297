"""Who watches: live viewers that come and go, people that open the page, and everybody at nine o'clock.

    python -m bench.soak_watchers PLAN API_URL PAGE_URL

With a line on its input it begins. It prints what was seen as JSON, and lives on until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin, Subprotocol

from bench.soak_plan import Plan

PAGES: Final = (
    "",
    "runs",
    "leaderboard",
    "totals",
    "workers",
    "sweeps",
    "alerts",
    "carbon",
    "live",
    "compare",
)
PATIENCE_S: Final = 60.0
# More at once than the server has threads, so that it has all of them soon and none is added later.
AT_NINE: Final = 160


class Watchers:
    """All who watch."""

    def __init__(self, plan: Plan, api_url: str, page_url: str) -> None:
        self._plan, self._api_url, self._page_url = plan, api_url, page_url
        self._chance = random.Random(1)  # noqa: S311 - figures, not secrets
        self._end_s = 0.0
        self.counts = {"viewers": 0, "messages": 0, "page_sessions": 0, "at_nine": 0}
        self.errors: list[str] = []

    async def run(self) -> None:
        """Let them come and go until the day has passed."""
        self._end_s = time.monotonic() + self._plan.seconds
        session_s = self._plan.seconds / self._plan.page_sessions
        await asyncio.gather(
            *(self._repeat(self._view, 0.1) for _ in range(self._plan.viewers)),
            self._repeat(self._open_page, session_s),
            self._repeat(self._come_at_nine, self._plan.hour_s),
        )

    async def _repeat(self, act: Callable[[], Awaitable[None]], every_s: float) -> None:
        due_s = time.monotonic()
        while time.monotonic() < self._end_s:
            try:
                await act()
            except (OSError, WebSocketException, httpx.HTTPError, ValueError) as error:
                self.errors.append(f"{act.__name__}: {error!r}")
            due_s = max(due_s + every_s, time.monotonic())
            await asyncio.sleep(min(due_s, self._end_s) - time.monotonic())

    async def _view(self) -> None:
        """Watch the live view of a run, or the default one, for a while; every third one as events."""
        run_id = await self._find_running()
        asked = f"?run_id={run_id}" if run_id else ""
        self.counts["viewers"] += 1
        stay_s = min(self._chance.uniform(0.2, 1.0) * self._plan.hour_s / 4, self._end_s - time.monotonic())
        act = self._view_events if self.counts["viewers"] % 3 == 0 else self._view_socket
        try:
            async with asyncio.timeout(max(stay_s, 0.01)) as stay:
                await act(asked)
        except TimeoutError:
            if not stay.expired():
                raise

    async def _view_socket(self, asked: str) -> None:
        address = f"{self._api_url.replace('http', 'ws', 1)}/ws{asked}"
        async with connect(address, proxy=None, max_size=None, close_timeout=5) as socket:
            async for _ in socket:
                self.counts["messages"] += 1

    async def _view_events(self, asked: str) -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client,
            client.stream("GET", f"{self._api_url}/live/events{asked}") as answer,
        ):
            answer.raise_for_status()
            async for _ in answer.aiter_lines():
                self.counts["messages"] += 1

    async def _find_running(self) -> str | None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            answer = await client.get(f"{self._api_url}/api/runs?limit=20&status=running")
            found = answer.raise_for_status().json()["results"]
        return str(self._chance.choice(found)["iid"]) if found else None

    async def _open_page(self) -> None:
        """Open the page, look at several of its pages as a browser's tab does, and close it."""
        address = f"{self._page_url.replace('http', 'ws', 1)}/_stcore/stream"
        async with connect(
            address,
            proxy=None,
            max_size=None,
            subprotocols=[Subprotocol("streamlit")],
            origin=Origin(self._page_url),
        ) as socket:
            for page in self._chance.sample(PAGES, 3):
                asked = BackMsg()
                asked.rerun_script.page_name = page
                asked.rerun_script.query_string = ""
                await socket.send(asked.SerializeToString())
                await self._await_drawing(socket)
        self.counts["page_sessions"] += 1

    async def _await_drawing(self, socket: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                told = ForwardMsg()
                told.ParseFromString(await socket.recv())
                if told.WhichOneof("type") == "script_finished":
                    return

    async def _come_at_nine(self) -> None:
        """Ask for the first page all at once."""
        limits = httpx.Limits(max_connections=AT_NINE)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S, limits=limits) as client:
            asked = [client.get(f"{self._api_url}/api/runs?limit=5") for _ in range(AT_NINE)]
            for answer in await asyncio.gather(*asked):
                answer.raise_for_status()
        self.counts["at_nine"] += 1

    def result(self) -> dict[str, Any]:
        """Return what was seen."""
        first = self.errors[0] if self.errors else None
        return {"counts": self.counts, "errors": len(self.errors), "first_error": first}


if __name__ == "__main__":
    watchers = Watchers(Plan.from_text(sys.argv[1]), sys.argv[2], sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(watchers.run())
    print(json.dumps(watchers.result()), flush=True)
    sys.stdin.read()
