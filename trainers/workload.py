"""How much there is to compute for a network and a dataset, known without torch; a test counts it anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue


class Workload(NamedTuple):
    """The training images of an epoch, and the operations of one image forward."""

    images: int
    flops_per_image: int


# Training images, and the column of their shape below.
IMAGES: Mapping[str, tuple[int, int]] = {
    "digits": (1_437, 0),
    "mnist": (60_000, 1),
    "fashion_mnist": (60_000, 1),
    "cifar10": (50_000, 2),
    "svhn": (73_257, 2),
    "cifar100": (50_000, 3),
}
# By ``networks.count_flops``: 8 x 8 x 1, 28 x 28 x 1, 32 x 32 x 3 with 10 classes, 32 x 32 x 3 with 100.
FLOPS: Mapping[str, tuple[int, int, int, int]] = {
    "small_cnn": (694_784, 8_482_304, 12_257_792, 12_280_832),
    "lenet5": (133_200, 833_040, 1_772_880, 1_788_000),
    "resnet9": (47_269_888, 548_270_080, 758_523_904, 758_616_064),
    "resnet18": (69_289_984, 911_601_664, 1_110_845_440, 1_110_937_600),
    "resnet34": (144_787_456, 1_871_835_136, 2_318_804_992, 2_318_897_152),
    "resnet50": (162_119_680, 2_093_639_680, 2_595_659_776, 2_596_028_416),
    "mobilenet_v3_small": (3_146_448, 9_869_376, 11_005_440, 11_189_760),
    "mobilenet_v3_large": (9_040_336, 36_723_376, 40_203_520, 40_433_920),
    "efficientnet_b0": (8_977_376, 58_414_976, 63_958_784, 64_189_184),
    "vgg11_bn": (26_036_224, 189_657_088, 305_539_072, 305_631_232),
    "densenet121": (110_915_584, 1_344_641_024, 1_776_701_440, 1_776_885_760),
}


def find_workload(hyper_params: Mapping[str, JsonValue]) -> Workload | None:
    """Return the work of an epoch; None for networks and datasets of which it is not known beforehand."""
    flops = FLOPS.get(str(hyper_params.get("network")))
    dataset = IMAGES.get(str(hyper_params.get("dataset")))
    if flops is None or dataset is None:
        return None
    images, shape = dataset
    held_out = hyper_params.get("validation_fraction")
    kept = 1 - held_out if isinstance(held_out, float) else 1.0
    return Workload(round(images * kept), flops[shape])
