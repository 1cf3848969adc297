"""Stream made-up batches to the live view, as a training loop would: nothing but Python is needed.

    python examples/training_client.py

Then open http://127.0.0.1:5000/live. Environment variables, with their defaults: DASHBOARD_RPC_URL
(http://127.0.0.1:5000/rpc/batch_update), TOTAL_ITERATIONS (400), MINI_BATCH_MIN (4), MINI_BATCH_MAX (24),
INJECT_DELAY_MS (0), which is waited after every iteration and told as the producer's delay.
"""

from __future__ import annotations

import base64
import http.client
import json
import math
import os
import random
import struct
import sys
import time
import zlib
from typing import Any
from urllib.parse import urlsplit

PATH = "/rpc/batch_update"
CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
ANSWER_LIMIT_S = 30


class Dashboard:
    """One connection to the live view."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        opened = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = opened(parts.hostname or "127.0.0.1", parts.port, timeout=ANSWER_LIMIT_S)
        self._folder = parts.path.rstrip("/").removesuffix(PATH)

    def reset(self) -> None:
        """Empty the view: what an earlier training has sent is over."""
        self._post("/rpc/reset", {})

    def update(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Send what an iteration achieved; returns the answer."""
        return self._post(PATH, batch)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._send(path, body)
        except ConnectionError:
            # A server ends a connection that was quiet for some seconds. Sent twice, a batch counts once.
            self._connection.close()
            answer = self._send(path, body)
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:500]}")
        decoded: dict[str, Any] = json.loads(text)
        return decoded

    def _send(self, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", self._folder + path, json.dumps(body), headers)
        return self._connection.getresponse()


def make_batch(iteration: int, total: int, size: int, chance: random.Random) -> dict[str, Any]:
    """Return a batch whose loss falls, and whose predictions become right, as the training goes on."""
    progress = iteration / total
    loss = 2.3 * math.exp(-3 * progress) + 0.05 + chance.gauss(0, 0.05 * (1.2 - progress))
    samples = [make_sample(iteration, place, 0.15 + 0.8 * progress, chance) for place in range(size)]
    return {"iteration": iteration, "loss": max(0.001, loss), "batch_size": size, "samples": samples}


def make_sample(iteration: int, place: int, skill: float, chance: random.Random) -> dict[str, Any]:
    """Return one sample, whose prediction is right with a probability of ``skill``."""
    truth = chance.choice(CLASSES)
    prediction = truth if chance.random() < skill else chance.choice(CLASSES)
    return {
        "sample_id": f"{iteration}-{place}",
        "prediction": prediction,
        "ground_truth": truth,
        "confidence": round(min(0.999, max(0.1, chance.gauss(skill, 0.15))), 3),
        "image_b64": base64.b64encode(draw(CLASSES.index(truth), chance)).decode(),
    }


def draw(number: int, chance: random.Random) -> bytes:
    """Return a PNG of waves whose colours and direction depend on the class."""
    angle, phase, width = (
        number * math.pi / len(CLASSES),
        chance.uniform(0, math.tau),
        chance.uniform(0.3, 0.8),
    )
    color = [0.5 + 0.5 * math.cos(number + shift) for shift in (0, 2, 4)]
    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)
        for x in range(SIDE):
            wave = math.sin(width * (x * math.cos(angle) + y * math.sin(angle)) + phase)
            rows.extend(int(127 + 100 * wave * part) for part in color)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content)
        for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 1)), (b"IEND", b""))
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def main() -> None:
    """Send every iteration and say how it went."""
    url = os.environ.get("DASHBOARD_RPC_URL", f"http://127.0.0.1:5000{PATH}")
    total = int(os.environ.get("TOTAL_ITERATIONS", "400"))
    smallest = int(os.environ.get("MINI_BATCH_MIN", "4"))
    largest = int(os.environ.get("MINI_BATCH_MAX", "24"))
    delay_ms = float(os.environ.get("INJECT_DELAY_MS", "0"))
    chance = random.Random(0)  # noqa: S311 - pictures, not secrets
    dashboard = Dashboard(url)
    dashboard.reset()
    mosaics = 0
    for iteration in range(1, total + 1):
        batch = make_batch(iteration, total, chance.randint(smallest, largest), chance)
        answer = dashboard.update({**batch, "delay_ms": delay_ms})
        mosaics += answer["tilesReady"]
        time.sleep(delay_ms / 1000)
    print(f"sent {total} iterations, {mosaics} mosaics completed")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError) as error:
        sys.exit(f"The live view could not be reached or refused a batch: {error}")
