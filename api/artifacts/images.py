"""Pictures that strangers send: checked by their headers, decoded within limits, and written anew."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from PIL import Image

from errors import FieldError, InvalidInput
from schema.live import MAX_SIDE, MOSAIC_TILES, LiveSample, LiveTile

# A picture is shown about this large, twice as many pixels on some screens.
_TILE_SIDE: Final = 160
# Up to here every pixel counts; larger pictures are photographs.
_EXACT_SIDE: Final = 64
_PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
# Each scan of a progressive JPEG goes through the whole picture: encoders make about ten, a bomb a million.
SCAN: Final = b"\xff\xda"
MOST_SCANS: Final = 100
# Start of frame, which holds the size; C4, C8 and CC mean other things.
_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that no length follows.
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
# What Pillow raises on files that are broken, by kind and by accident.
BROKEN: Final = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


def make_tiles(samples: Sequence[LiveSample]) -> tuple[LiveTile, ...]:
    """Return the tiles of a batch: all of its samples, or 16 of them spread evenly over it.

    Every picture's format and size are checked, and those that become tiles are decoded. Raises InvalidInput,
    naming the sample, for one that is not a whole PNG or JPEG of at most 512 x 512.
    """
    pictures = [_read(place, sample.image_b64) for place, sample in enumerate(samples)]
    return tuple(_to_tile(place, samples[place], pictures[place]) for place in spread(len(samples)))


def spread(count: int) -> list[int]:
    """Return which of ``count`` samples become tiles: as evenly spaced as can be, from the first on."""
    tiles = min(count, MOSAIC_TILES)
    return [place * count // tiles for place in range(tiles)]


def read_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG or JPEG from its header; None for anything else.

    Source: PNG specification, 11.2.2 IHDR; ITU T.81, B.2.2 frame header.
    """
    if content.startswith(_PNG):
        is_whole = len(content) >= 24 and content[12:16] == b"IHDR"
        return struct.unpack(">II", content[16:24]) if is_whole else None
    return _read_jpeg_size(content) if content.startswith(JPEG) else None


def _read_jpeg_size(content: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _BARE:
            place += 2
        elif marker in _SIZES:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return width, height
        else:
            place += 2 + max(2, int.from_bytes(content[place + 2 : place + 4], "big"))
    return None


def _read(place: int, text: str) -> bytes:
    """Return a picture whose header is that of an allowed one."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refuse(place, "is not base64") from error
    size = read_size(content)
    if size is None:
        raise _refuse(place, "is neither a PNG nor a JPEG")
    if not (1 <= size[0] <= MAX_SIDE and 1 <= size[1] <= MAX_SIDE):
        raise _refuse(place, f"has {size[0]} x {size[1]} pixels; at most {MAX_SIDE} x {MAX_SIDE} are taken")
    if content.startswith(JPEG) and content.count(SCAN) > MOST_SCANS:
        raise _refuse(place, f"is a JPEG of more than {MOST_SCANS} scans")
    return content


def _to_tile(place: int, sample: LiveSample, content: bytes) -> LiveTile:
    try:
        image = _rewrite(content)
    except BROKEN as error:
        raise _refuse(place, "is damaged and cannot be decoded") from error
    return LiveTile(
        sample_id=sample.sample_id,
        prediction=sample.prediction,
        ground_truth=sample.ground_truth,
        confidence=sample.confidence,
        image=image,
    )


def _rewrite(content: bytes) -> str:
    """Decode a picture and return its pixels alone, smaller where it is large, as a data URL."""
    with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as image:
        if max(image.size) > MAX_SIDE:
            raise ValueError("its headers contradict each other")
        pixels = _flatten(image)
    pixels.thumbnail((_TILE_SIDE, _TILE_SIDE))
    written = BytesIO()
    if max(pixels.size) <= _EXACT_SIDE:
        pixels.save(written, "PNG", compress_level=1)
        kind = "png"
    else:
        pixels.save(written, "JPEG", quality=85)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"


def _flatten(image: Image.Image) -> Image.Image:
    """Return a picture in grey or in colours, on white where it is transparent, and nothing else of it."""
    if image.mode == "L" and "transparency" not in image.info:
        return image.convert("L").copy()
    if image.mode in ("I;16", "I;16B", "I"):
        return image.point(lambda value: value / 256).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")


def _refuse(place: int, reason: str) -> InvalidInput:
    field = f"samples.{place}.image_b64"
    return InvalidInput(f"The picture of sample {place} {reason}.", details=[FieldError(field, reason)])
