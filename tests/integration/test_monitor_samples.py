"""log_samples against the real server: what viewers see, and what the server refuses."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from redis_db import RedisDB
from tests.live import LiveBackend
from tests.pictures import picture
from tests.programs import Programs, wait_until
from training_monitor import TrainingMonitor

RED = (255, 0, 0)


@pytest.fixture(scope="module")
def programs(redis_url: str) -> Iterator[Programs]:
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        started = Programs(redis_url=redis_url, data_dir=Path(folder))
        yield started
        started.stop()


@pytest.fixture(scope="module")
def shared(programs: Programs) -> Iterator[LiveBackend]:
    with LiveBackend(programs) as started:
        yield started


@pytest.fixture
def monitor(shared: LiveBackend, db: RedisDB, tmp_path: Path) -> Iterator[TrainingMonitor]:
    url = f"http://127.0.0.1:{shared.port}"
    with TrainingMonitor(
        "shown", strict=True, system_metrics=False, api_url=url, spool_dir=tmp_path / "spool"
    ) as begun:
        yield begun


def sample(image: Any, **changes: Any) -> dict[str, Any]:
    return {"image": image, "prediction": 1, "ground_truth": "cat", "confidence": 0.5, **changes}


def show(monitor: TrainingMonitor, step: int, samples: list[dict[str, Any]], loss: float = 0.5) -> None:
    """Show them, more than a twentieth of a second after those before."""
    wait_until(lambda: monitor._feed is None or monitor._feed._clock() - monitor._feed._sent_s > 0.1)
    monitor.log_samples(samples, step=step, loss=loss)


def decode(tile: dict[str, Any]) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(tile["image"].partition(",")[2])))
    return image.convert("RGB")


def paletted() -> Image.Image:
    image = Image.new("P", (20, 20), 3)
    image.putpalette([0, 0, 0, 0, 255, 0, 0, 0, 255, *RED])
    return image


PICTURES: dict[str, tuple[Any, tuple[int, int, int]]] = {
    "an array [C, H, W] of fractions": (np.stack([np.ones((8, 9)), *[np.zeros((8, 9))] * 2]), RED),
    "an array [H, W, C] of bytes": (np.full((9, 8, 3), RED, dtype=np.uint8), RED),
    "a grey array [H, W]": (np.full((28, 28), 77, dtype=np.uint8), (77, 77, 77)),
    "a grey array [1, H, W]": (np.full((1, 28, 28), 1.0), (255, 255, 255)),
    "a tensor with a graph": (torch.ones(3, 8, 8, requires_grad=True) * 0.2, (51, 51, 51)),
    "a tensor of bfloat16": (torch.ones(3, 8, 8, dtype=torch.bfloat16), (255, 255, 255)),
    "an array with NaN": (np.full((8, 8), np.nan), (0, 0, 0)),
    "a transparent array": (np.full((8, 8, 4), (*RED, 0), dtype=np.uint8), (255, 255, 255)),
    "one pixel": (np.full((1, 1), 255, dtype=np.uint8), (255, 255, 255)),
    "a large array": (np.full((900, 300, 3), RED, dtype=np.uint8), RED),
    "PNG bytes": (picture(8), (40, 0, 0)),
    "JPEG bytes": (picture(8, kind="JPEG", mode="L"), (40, 40, 40)),
    "a picture of Pillow": (Image.new("RGB", (10, 10), RED), RED),
    "one with a palette": (paletted(), RED),
    "one of bits": (Image.new("1", (10, 10), 1), (255, 255, 255)),
    "one in CMYK": (Image.new("CMYK", (10, 10), (0, 255, 255, 0)), RED),
}


def test_all_kinds_of_pictures_are_seen_in_the_view_of_the_run(
    monitor: TrainingMonitor, shared: LiveBackend
) -> None:
    assert len(PICTURES) == 16, "one mosaic"
    with shared.watch(f"?run_id={monitor.run_id}") as watcher:
        watcher.next("snapshot")
        show(monitor, 7, [sample(image, sample_id=name) for name, (image, _) in PICTURES.items()], loss=0.25)
        mosaic = watcher.until(lambda message: "mosaic" in message)["mosaic"]
    assert [tile["sample_id"] for tile in mosaic["tiles"]] == list(PICTURES)
    assert (mosaic["tiles"][0]["prediction"], mosaic["tiles"][0]["ground_truth"]) == ("1", "cat")
    for tile in mosaic["tiles"]:
        seen, meant = decode(tile).getpixel((0, 0)), PICTURES[tile["sample_id"]][1]
        assert isinstance(seen, tuple)
        assert np.abs(np.subtract(seen, meant)).max() <= 4, (tile["sample_id"], seen, meant)
    sizes = {tile["sample_id"]: decode(tile).size for tile in mosaic["tiles"]}
    assert (sizes["one pixel"], sizes["an array [C, H, W] of fractions"]) == ((1, 1), (9, 8))
    assert max(sizes["a large array"]) == 160


def test_the_losses_of_steps_come_as_they_are(monitor: TrainingMonitor, shared: LiveBackend) -> None:
    with shared.watch(f"?run_id={monitor.run_id}") as watcher:
        watcher.next("snapshot")
        for step, loss in ((1, 0.5), (2, float("nan")), (3, float("inf"))):
            show(monitor, step, [], loss=loss)
            points = watcher.until(lambda message: "points" in message)["points"]
            assert points == {"iterations": [step], "losses": [{2: "NaN", 3: "Infinity"}.get(step, loss)]}


def test_a_confidence_that_is_no_number_is_refused_with_the_reason(
    monitor: TrainingMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    show(monitor, 1, [sample(picture(8), confidence=float("nan"))])
    assert "a number from 0 to 1, not NaN" in caplog.text


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (sample(picture(600)), "600 x 600"),
        (sample(picture(8)[:-30]), "damaged"),
        (sample(np.zeros((4, 4), dtype=np.uint8), confidence=1.5), "confidence"),
        (sample(np.zeros((4, 4), dtype=np.uint8), prediction="x" * 200), "prediction"),
    ],
    ids=["a large file", "a damaged file", "too sure", "a long name"],
)
def test_what_the_server_refuses_is_said_once_and_the_next_ones_are_shown(
    refused: dict[str, Any],
    reason: str,
    monitor: TrainingMonitor,
    shared: LiveBackend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    show(monitor, 1, [refused])
    wait_until(lambda: "not shown" in caplog.text, timeout_s=20)
    assert reason in caplog.text
    show(monitor, 2, [refused])
    with shared.watch(f"?run_id={monitor.run_id}") as watcher:
        assert watcher.next("snapshot")["points"]["iterations"] == []
        show(monitor, 3, [sample(picture(8))] * 16)
        mosaic = watcher.until(lambda message: "mosaic" in message)["mosaic"]
    assert mosaic["iteration"] == 3
    assert caplog.text.count("not shown") == 1
