"""What bench.train trains: the one record that its programs share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """Which loop, and on what."""

    loop: str
    side: int
    precision: str
    augmentation: str
    train_images: int
    test_images: int
    batch_size: int
    device: str
    seed: int = 0
