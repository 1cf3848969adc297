"""Whatever shows something, as a PNG or JPEG."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from training_monitor.errors import MonitorError
from training_monitor.media.arrays import load_numpy, to_array
from training_monitor.media.pictures import SIGNATURES, arrange, load_pillow, to_png

# The server takes no wider, higher or larger ones.
MOST_PIXELS: Final = 4_096
MOST_BYTES: Final = 32 << 20
# The loop waits for it to be packed: 60 ms for each MiB. Charts have a fraction of one, photos seldom more.
MOST_PACKED_BYTES: Final = 16 << 20
_SAMPLES: Final = 8
_SAMPLE_ROWS: Final = 16


class ImageFile(NamedTuple):
    """A picture's bytes and what they are."""

    data: bytes
    content_type: str
    note: str = ""
    """What was changed, and why."""


def to_file(image: Any) -> ImageFile:
    """Return a picture as a file, at most 4,096 pixels wide and high.

    image: a figure of matplotlib or plotly, a picture of Pillow, a path, PNG or JPEG bytes, or an array or
    tensor [H, W], [H, W, C] or [C, H, W]. Raises MonitorError for anything else.
    """
    if isinstance(image, bytes | bytearray):
        return _from_bytes(bytes(image))
    if isinstance(image, str | Path):
        return _from_path(Path(image))
    if hasattr(image, "savefig"):
        return _from_matplotlib(image)
    if hasattr(image, "get_figure") and hasattr(image.get_figure(), "savefig"):
        return _from_matplotlib(image.get_figure())
    if hasattr(image, "to_image"):
        return _from_plotly(image)
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        return _from_pillow(image)
    return _from_pillow(load_pillow().fromarray(to_pixels(to_array(image))))


def to_pixels(array: Any) -> Any:
    """Return numbers as uint8 pixels.

    uint8, integers 0-255 with channels, and fractions 0-1 are shown as they are; all else, such as the counts
    of a confusion matrix, from its lowest value, black, to its highest, white. NaN is black.
    """
    numpy = load_numpy()
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    pixels = arrange(array)
    if pixels.dtype == numpy.uint8:
        return numpy.ascontiguousarray(pixels)
    numbers = pixels.astype(numpy.float64)
    finite = numbers[numpy.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if pixels.dtype.kind in "iu" and pixels.ndim == 3 and low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif pixels.dtype.kind in "bf" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    with numpy.errstate(all="ignore"):
        # Halved, so that no span is infinite.
        shares = (numbers / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)
    return (numpy.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255).astype(numpy.uint8)


def _content_type(data: bytes) -> str | None:
    return next((name for start, name in SIGNATURES.items() if data.startswith(start)), None)


def _from_bytes(data: bytes) -> ImageFile:
    content_type = _content_type(data)
    if content_type is None:
        raise MonitorError("A picture in bytes has to be PNG or JPEG.")
    try:
        image = load_pillow().open(io.BytesIO(data))
    except MonitorError:
        return ImageFile(data, content_type)  # the server looks at its size, too
    except (OSError, SyntaxError) as error:
        raise MonitorError(f"This picture cannot be read: {error}") from error
    fits = max(image.size) <= MOST_PIXELS and len(data) <= MOST_BYTES
    return ImageFile(data, content_type) if fits else _from_pillow(image)


def _from_path(path: Path) -> ImageFile:
    try:
        data = path.read_bytes()
        if _content_type(data) is not None:
            return _from_bytes(data)
        return _from_pillow(load_pillow().open(io.BytesIO(data)))
    except OSError as error:
        raise MonitorError(f"The picture {path} cannot be read: {error}") from error


def _from_matplotlib(figure: Any) -> ImageFile:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return _from_bytes(file.getvalue())


def _from_plotly(figure: Any) -> ImageFile:
    try:
        return _from_bytes(figure.to_image(format="png"))
    except MonitorError:
        raise
    except Exception as error:  # what draws it is a browser, which may fail in any way
        raise MonitorError(f"plotly cannot draw this figure: {error}. Run: pip install kaleido") from error


def _from_pillow(image: Any) -> ImageFile:
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if "transparency" in image.info or "A" in image.mode else "RGB")
    if max(image.size) > MOST_PIXELS:
        image = image.copy()
        image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    size, factor = image.size, math.ceil(math.sqrt(_packed_bytes(image) / MOST_PACKED_BYTES))
    if factor > 1:
        image = image.reduce(factor)
    data = to_png(image)
    while len(data) > MOST_BYTES:  # the samples were easier to pack than the rest
        image = image.reduce(2)
        data = to_png(image)
    return ImageFile(data, "image/png", _note(size, image.size))


def _packed_bytes(image: Any) -> float:
    """Return about how many bytes a picture would have as PNG, from rows here and there."""
    width, height = int(image.width), int(image.height)
    raw = float(width * height * len(image.getbands()))
    if raw <= MOST_PACKED_BYTES:
        return raw
    tops = [place * (height - _SAMPLE_ROWS) // (_SAMPLES - 1) for place in range(_SAMPLES)]
    samples = [to_png(image.crop((0, top, width, top + _SAMPLE_ROWS))) for top in tops]
    return sum(map(len, samples)) * height / (_SAMPLES * _SAMPLE_ROWS)


def _note(size: tuple[int, int], kept: tuple[int, int]) -> str:
    if size == kept:
        return ""
    return (
        f"a picture of {size[0]} × {size[1]} is kept as {kept[0]} × {kept[1]}: it would have more than "
        f"{MOST_PACKED_BYTES >> 20} MiB as PNG, and training would wait for that"
    )
