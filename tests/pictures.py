"""Pictures for tests, whole and broken."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image


def picture(width: int = 8, height: int | None = None, *, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """Return a picture of one colour."""
    written = BytesIO()
    Image.new(mode, (width, height or width), 40).save(written, kind)
    return written.getvalue()


def text(content: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(content).decode()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return one part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG whose header promises that many pixels, all of them the same."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * min(height * (width // 8 + 1), 10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def sample(place: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a sample as a producer sends it."""
    made = {"sample_id": place, "prediction": "cat", "ground_truth": "dog", "confidence": 0.5}
    return {**made, "image_b64": text(picture()), **changes}


def batch(iteration: object = 1, samples: int = 0, **changes: Any) -> dict[str, Any]:
    """Return an update as a producer sends it."""
    listed = [sample(place) for place in range(samples)]
    made = {"iteration": iteration, "loss": 0.5, "batch_size": samples, "delay_ms": 0, "samples": listed}
    return {**made, **changes}
