"""Make torchvision importable beside a CPU-only torch.

The registry's torchvision wheel for Linux is built for CUDA: over CPU-only torch its C++ library cannot be
loaded, and importing torchvision then fails because it refers to two operators that this library would have
declared. Nothing here uses them, so declaring their schemas is enough. Where the library does load (macOS,
the +cpu wheels, CUDA) it declares them itself, and a second declaration would be an error.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import torch


@cache
def declare_operators() -> torch.library.Library | None:
    """Declare what torchvision misses; call it before anything imports torchvision. Idempotent.

    None means that nothing is missing. The cache keeps the library object: torch forgets the schemas with it.
    """
    if torch.version.cuda is not None or _has_loadable_library():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _has_loadable_library() -> bool:
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return True
    try:
        for library in Path(package.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)
            return True
    except OSError:
        return False
    return False
