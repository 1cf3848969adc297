"""Pictures for the server. Arrays and tensors need the extra ``media``; PNG and JPEG bytes nothing."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any, Final

from training_monitor.errors import MonitorError

_MOST_PIXELS: Final = 512
_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_CHANNELS: Final = (1, 3, 4)
_EXTRA: Final = 'Pictures from arrays need an extra. Run: pip install "wattle[media]"'

# A file's bytes, or an array of uint8, height first and channels last.
Picture = Any


def freeze(image: Any) -> Picture:
    """Return a copy of a picture that its owner may go on changing.

    image: PNG or JPEG bytes, a picture of Pillow, or an array or tensor [H, W], [H, W, C] or [C, H, W],
    uint8 or fractions 0-1.
    Raises MonitorError for anything else, and without the extra ``media``.
    """
    if isinstance(image, bytes | bytearray):
        if not bytes(image[:8]).startswith(_SIGNATURES):
            raise MonitorError("A picture in bytes has to be PNG or JPEG.")
        return bytes(image)
    try:
        import numpy
    except ModuleNotFoundError as error:
        raise MonitorError(_EXTRA) from error
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image) and image.mode not in ("L", "RGB", "RGBA"):
        # As an array, a palette's picture is the numbers of its colours.
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if hasattr(image, "detach"):
        # NumPy has no bfloat16.
        image = (image.float() if image.is_floating_point() else image).detach().cpu().numpy()
    pixels = numpy.asarray(image)
    if pixels.ndim == 3 and pixels.shape[0] in _CHANNELS and pixels.shape[2] not in _CHANNELS:
        pixels = numpy.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if (
        pixels.ndim not in (2, 3)
        or 0 in pixels.shape
        or (pixels.ndim == 3 and pixels.shape[2] not in _CHANNELS)
    ):
        raise MonitorError(f"A picture has to be [H, W], [H, W, C] or [C, H, W], not {list(pixels.shape)}.")
    if pixels.dtype != numpy.uint8:
        pixels = numpy.nan_to_num(pixels.astype(numpy.float32)).clip(0, 1) * 255
    return pixels.astype(numpy.uint8)


def encode(picture: Picture) -> str:
    """Return a frozen picture as base64 of a file, at most 512 pixels wide and high."""
    if isinstance(picture, bytes):
        return base64.b64encode(picture).decode()
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MonitorError(_EXTRA) from error
    image = Image.fromarray(picture)
    image.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()
