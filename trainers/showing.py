"""What a training shows to those who watch it: losses of its steps, and images with what it made of them."""

from __future__ import annotations

import base64
import math
import time
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from schema import Audience, LivePoint, LiveTile
from schema.live import MAX_POINTS, MOSAIC_TILES, Loss
from trainers.training import Batch, Training

# A person sees no more.
INTERVAL_S: Final = 0.5
# So many times what it took, nothing is shown again: half a per cent of the training's time. Not for longer
# than _LONGEST_REST_S: where showing takes so long, it waited, for the device or for a core, and cost less.
_REST: Final = 200
_LONGEST_REST_S: Final = 30.0
_LARGEST_SIDE: Final = 96


class Showing:
    """Shows ``training`` to ``audience`` now and then; while nobody watches, it only asks that."""

    def __init__(
        self, training: Training, audience: Audience, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._training = training
        self._audience = audience
        self._clock = clock
        self._next_s = 0.0
        self._kept: deque[tuple[int, Tensor]] = deque(maxlen=MAX_POINTS)
        self._kept_step = 0

    def after_step(self) -> None:
        """Show what was learnt since the last time, if it is time."""
        training = self._training
        if not self._audience.is_watched():
            training.keeps_latest = False
            return
        start_s = self._clock()
        if start_s < self._next_s:
            return
        if training.latest is None:
            # The next batch is kept, and shown.
            training.keeps_latest = True
            return
        tiles = _to_tiles(training, training.latest)
        training.latest, training.keeps_latest = None, False
        self._send(tiles)
        self._rest(start_s)

    def end_epoch(self) -> None:
        """Keep the epoch's last losses, which the training keeps no longer; no sync."""
        if self._audience.is_watched():
            self._keep()
        else:
            self._kept.clear()

    def close(self) -> None:
        """Show what is left at the end of the training."""
        if self._audience.is_watched():
            self._send(())

    def _keep(self) -> None:
        training = self._training
        count = min(training.step - self._kept_step, training.batch)
        if count:
            self._kept.append((training.step - count + 1, training.copy_losses(count)))
        self._kept_step = training.step

    def _send(self, tiles: tuple[LiveTile, ...]) -> None:
        """Send the losses since the last time: a sync point."""
        self._keep()
        points = [
            LivePoint(first + place, _loss(loss))
            for first, losses in self._kept
            for place, loss in enumerate(losses.tolist())
        ]
        self._kept.clear()
        if points:
            size = self._training.hyper_params.images_per_step
            self._audience.show(points[-MAX_POINTS:], tiles, batch_size=size)

    def _rest(self, start_s: float) -> None:
        end_s = self._clock()
        self._next_s = end_s + min(max(INTERVAL_S, _REST * (end_s - start_s)), _LONGEST_REST_S)


def _loss(loss: float) -> Loss:
    """Return a loss as JSON can carry it."""
    if math.isnan(loss):
        return "NaN"
    return loss if math.isfinite(loss) else ("Infinity" if loss > 0 else "-Infinity")


@torch.inference_mode()
def _to_tiles(training: Training, batch: Batch) -> tuple[LiveTile, ...]:
    """Return the first images of a batch, which was drawn by chance, with what the network made of them."""
    names = training.data.class_names
    chances, chosen = batch.logits[:MOSAIC_TILES].float().softmax(1).max(1)
    pictures = _shrink(batch.images[:MOSAIC_TILES]).permute(0, 2, 3, 1).cpu().numpy()
    figures = zip(chosen.tolist(), batch.labels[:MOSAIC_TILES].tolist(), chances.tolist(), strict=True)
    return tuple(
        LiveTile(
            sample_id=f"{training.step}-{place}",
            prediction=names[prediction] if names else str(prediction),
            ground_truth=names[truth] if names else str(truth),
            # It is no number where the loss is none.
            confidence=chance if math.isfinite(chance) else 0.0,
            image=_to_url(Image.fromarray(picture.squeeze())),
        )
        for place, (picture, (prediction, truth, chance)) in enumerate(zip(pictures, figures, strict=True))
    )


def _shrink(images: Tensor) -> Tensor:
    """Return uint8 [B, 1 or 3, H, W] of at most 96 x 96 pixels."""
    if images.shape[1] not in (1, 3):
        images = images[:, :1]
    largest = max(images.shape[-2:])
    if largest <= _LARGEST_SIDE:
        return images
    size = [max(1, side * _LARGEST_SIDE // largest) for side in images.shape[-2:]]
    return interpolate(images.float(), size=size, mode="area").round().byte()


def _to_url(image: Image.Image) -> str:
    written = BytesIO()
    image.save(written, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
