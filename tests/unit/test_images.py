"""Pictures of strangers: sizes from headers, what is refused, and what is left of the others."""

from __future__ import annotations

import base64
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from api.artifacts.images import make_tiles, read_size, spread
from errors import InvalidInput
from schema.live import LiveSample
from tests.pictures import bomb, picture, sample, text


def samples(*contents: bytes) -> list[LiveSample]:
    return [LiveSample(**sample(place, image_b64=text(content))) for place, content in enumerate(contents)]


def shown(content: bytes) -> Image.Image:
    """The picture that viewers get."""
    (tile,) = make_tiles(samples(content))
    return Image.open(BytesIO(base64.b64decode(tile.image.partition(",")[2])))


@pytest.mark.parametrize(
    "content",
    [
        picture(7, 5),
        picture(7, 5, kind="JPEG"),
        picture(7, 5, mode="L"),
        picture(7, 5, kind="JPEG", mode="CMYK"),
    ],
)
def test_sizes_are_read_from_headers(content: bytes) -> None:
    assert read_size(content) == (7, 5)


def test_the_size_of_a_jpeg_with_a_long_head_is_found() -> None:
    whole = picture(9, 4, kind="JPEG")
    comment = b"\xff\xfe" + (60_000).to_bytes(2, "big") + b" " * 59_998
    assert read_size(whole[:2] + comment + b"\xff" + whole[2:]) == (9, 4)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a\x05\x00\x05\x00", b"\xff\xd8" * 50]
)
def test_other_files_have_no_size(content: bytes) -> None:
    assert read_size(content) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (picture(513), "513 x 513"),
        (picture(513, 4, kind="JPEG"), "513 x 4"),
        (bomb(60_000, 60_000), "60000 x 60000"),
        (bomb(2**31 - 1, 2**31 - 1), "at most 512"),
        (picture(kind="GIF", mode="P"), "neither a PNG nor a JPEG"),
        (picture(kind="BMP"), "neither"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "neither"),
        (picture(64)[:-40], "damaged"),
        (picture(64, kind="JPEG")[:300], "damaged"),
        (picture(8).replace(b"IDAT", b"IDAX"), "damaged"),
    ],
)
def test_what_is_no_whole_small_picture_is_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        make_tiles(samples(picture(), content))
    assert refused.value.details[0].field == "samples.1.image_b64"


def test_what_is_not_base64_is_refused() -> None:
    wrong = LiveSample(**sample(image_b64="not base64!"))
    with pytest.raises(InvalidInput, match="is not base64"):
        make_tiles([wrong])


def test_a_data_url_is_taken_too() -> None:
    (tile,) = make_tiles([LiveSample(**sample(image_b64=f"data:image/png;base64,{text(picture(4))}"))])
    assert tile.image.startswith("data:image/png;base64,")


def test_small_pictures_keep_every_pixel_and_large_ones_are_made_smaller() -> None:
    noise = Image.effect_noise((28, 28), 80)
    written = BytesIO()
    noise.save(written, "PNG")
    assert shown(written.getvalue()).tobytes() == noise.tobytes()
    assert shown(picture(512, 256)).size == (160, 80)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_shown(mode: str) -> None:
    assert shown(picture(6, mode=mode)).mode in ("L", "RGB")


def test_transparent_pixels_are_white() -> None:
    written = BytesIO()
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(written, "PNG")
    assert shown(written.getvalue()).getpixel((0, 0)) == (255, 255, 255)


def test_grey_of_sixteen_bits_keeps_its_shades() -> None:
    written = BytesIO()
    Image.new("I;16", (2, 2), 32_768).save(written, "PNG")
    assert shown(written.getvalue()).getpixel((0, 0)) == 128


def test_nothing_but_the_pixels_is_passed_on() -> None:
    written, said = BytesIO(), PngImagePlugin.PngInfo()
    said.add_text("Comment", "a secret place")
    Image.new("RGB", (2, 2)).save(written, "PNG", pnginfo=said)
    (tile,) = make_tiles(samples(written.getvalue()))
    assert b"secret" in written.getvalue()
    assert b"secret" not in base64.b64decode(tile.image.partition(",")[2])


def test_sixteen_of_many_are_spread_evenly() -> None:
    assert spread(0) == []
    assert spread(5) == [0, 1, 2, 3, 4]
    assert spread(24) == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 21, 22]
    assert spread(128) == list(range(0, 128, 8))


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    file = BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG", progressive=True)
    assert shown(file.getvalue())
    bomb = file.getvalue()[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" * 200
    with pytest.raises(InvalidInput, match="scans"):
        make_tiles(samples(bomb))
