"""Load for the live view, each kind in its own process: a producer, viewers, somebody who uses the API.

    python -m bench.live_load produce|watch|ask URL SECONDS

Each prints one line of JSON when its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.pictures import batch

UPDATES_PER_S = 200
MOSAIC_EVERY = 20
VIEWERS = 50
STARVING_S = 2.0
ASKED = ("/healthz", "/api/runs?limit=50", "/api/workers", "/openapi.json")
ASKS_PER_S = 20


def produce(url: str, seconds: float) -> dict[str, Any]:
    """Send updates at a steady pace; the loss of each is the time when it is sent, since ``started_at``.

    Sixteen samples come with every twentieth, which makes ten mosaics a second.
    """
    late_s = 0.0
    bodies = [batch(0, 16 if place == 0 else 0) for place in range(MOSAIC_EVERY)]
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.post("/rpc/reset", json={}).raise_for_status()
        started_s, started_at = time.monotonic(), time.time()
        print(json.dumps({"started_at": started_at}), flush=True)
        count = round(seconds * UPDATES_PER_S)
        for iteration in range(1, count + 1):
            due_s = started_s + iteration / UPDATES_PER_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = max(late_s, time.monotonic() - due_s)
            loss = time.time() - started_at
            body = {**bodies[iteration % MOSAIC_EVERY], "iteration": iteration, "loss": loss}
            client.post("/rpc/batch_update", json=body).raise_for_status()
        took_s = time.monotonic() - started_s
    return {"updates": count, "updates_per_s": round(count / took_s, 1), "latest_s": round(late_s, 3)}


@dataclass
class Seen:
    """What one viewer got."""

    iterations: set[int] = field(default_factory=set)
    longest_gap_s: float = 0.0
    last_s: float | None = None

    def take(self, iterations: Iterable[int], now_s: float) -> None:
        """Note a message."""
        self.longest_gap_s = max(self.longest_gap_s, 0.0 if self.last_s is None else now_s - self.last_s)
        self.last_s = now_s
        self.iterations.update(iterations)


async def _watch_one(url: str, last: int, until_s: float, seen: Seen) -> None:
    async with connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None, max_size=None) as socket:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until_s - time.monotonic()):
                while last not in seen.iterations:
                    message = json.loads(await socket.recv())
                    if points := message.get("points", {}).get("iterations"):
                        seen.take(points, time.monotonic())


async def _watch_all(url: str, last: int, seconds: float) -> list[Seen]:
    until_s = time.monotonic() + 3 * seconds + 20
    all_seen = [Seen() for _ in range(VIEWERS)]
    await asyncio.gather(*(_watch_one(url, last, until_s, seen) for seen in all_seen))
    return all_seen


def watch(url: str, seconds: float) -> dict[str, Any]:
    """Have fifty viewers watch until the last update.

    One starves when it misses an update, or when nothing comes for STARVING_S while updates are sent.
    """
    last = round(seconds * UPDATES_PER_S)
    httpx.post(f"{url}/rpc/reset", json={}, trust_env=False).raise_for_status()
    all_seen = asyncio.run(_watch_all(url, last, seconds))
    everything = set(range(1, last + 1))
    return {
        "viewers": VIEWERS,
        "starved": sum(
            not everything <= seen.iterations or seen.longest_gap_s > STARVING_S for seen in all_seen
        ),
        "longest_gap_s": round(max(seen.longest_gap_s for seen in all_seen), 3),
    }


def ask(url: str, seconds: float) -> dict[str, Any]:
    """Use the other routes, and say how long each answer took."""
    took_ms = []
    with httpx.Client(base_url=url, trust_env=False) as client:
        started_s = time.monotonic()
        for number in range(round(seconds * ASKS_PER_S)):
            time.sleep(max(0.0, started_s + number / ASKS_PER_S - time.monotonic()))
            asked_s = time.monotonic()
            client.get(ASKED[number % len(ASKED)]).raise_for_status()
            took_ms.append(1000 * (time.monotonic() - asked_s))
    return {"took_ms": [round(each, 2) for each in took_ms]}


if __name__ == "__main__":
    act = {"produce": produce, "watch": watch, "ask": ask}[sys.argv[1]]
    print(json.dumps(act(sys.argv[2], float(sys.argv[3]))), flush=True)
