"""Work that a device has been given and has not done yet."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

log = logging.getLogger(__name__)


def drain_of(device: str) -> Callable[[], None] | None:
    """Return what waits until a GPU has done all it was given; None for a device that queues nothing.

    torch is not imported for it: who queued work with torch has imported it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return None

    def drain() -> None:
        try:
            torch.cuda.synchronize(device)
        except RuntimeError as err:  # the step that failed on the device says so itself
            log.warning("the meter is read before %s is done: %s", device, err)

    return drain
