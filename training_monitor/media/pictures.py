"""Pictures of the live mosaic. Arrays and tensors need the extra ``media``; PNG and JPEG bytes nothing."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any, Final

from training_monitor.errors import MonitorError
from training_monitor.media.arrays import EXTRA, load_numpy, to_array

_MOST_PIXELS: Final = 512
SIGNATURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_CHANNELS: Final = (1, 3, 4)

# A file's bytes, or an array of uint8, height first and channels last.
Picture = Any


def freeze(image: Any) -> Picture:
    """Return a copy of a picture that its owner may go on changing.

    image: PNG or JPEG bytes, a picture of Pillow, or an array or tensor [H, W], [H, W, C] or [C, H, W],
    uint8 or fractions 0-1.
    Raises MonitorError for anything else, and without the extra ``media``.
    """
    if isinstance(image, bytes | bytearray):
        if not bytes(image[:8]).startswith(tuple(SIGNATURES)):
            raise MonitorError("A picture in bytes has to be PNG or JPEG.")
        return bytes(image)
    numpy = load_numpy()
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image) and image.mode not in ("L", "RGB", "RGBA"):
        # As an array, a palette's picture is the numbers of its colours.
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    pixels = arrange(to_array(image))
    if pixels.dtype != numpy.uint8:
        pixels = numpy.nan_to_num(pixels.astype(numpy.float32)).clip(0, 1) * 255
    return pixels.astype(numpy.uint8)


def arrange(pixels: Any) -> Any:
    """Return an array as [H, W] or, with the channels last, [H, W, C]. Raises MonitorError for others."""
    if pixels.ndim == 3 and pixels.shape[0] in _CHANNELS and pixels.shape[2] not in _CHANNELS:
        pixels = load_numpy().moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if (
        pixels.ndim not in (2, 3)
        or 0 in pixels.shape
        or (pixels.ndim == 3 and pixels.shape[2] not in _CHANNELS)
    ):
        raise MonitorError(f"A picture has to be [H, W], [H, W, C] or [C, H, W], not {list(pixels.shape)}.")
    return pixels


def load_pillow() -> Any:
    """Return Pillow's module of images. Raises MonitorError where it is not installed."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MonitorError(EXTRA) from error
    return Image


def encode(picture: Picture) -> str:
    """Return a frozen picture as base64 of a file, at most 512 pixels wide and high."""
    if isinstance(picture, bytes):
        return base64.b64encode(picture).decode()
    image = load_pillow().fromarray(picture)
    image.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
    return base64.b64encode(to_png(image)).decode()


def to_png(image: Any) -> bytes:
    """Return a picture of Pillow as the bytes of a file; quickly packed, the loop waits for it."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
