"""A driver for tests, registered as any third party's would be."""

from __future__ import annotations

import os
import time

from fsspec.implementations.local import LocalFileSystem

CARD_S = 1.5
# How long a checkpoint takes; the tests set it for their worker.
STATE_S = "TEST_STATE_S"


class SlowCards(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
    """Files of this machine behind a line so slow that a card takes CARD_S."""

    protocol = "slowcards"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        """Write a file."""
        if path.endswith("card.json"):
            time.sleep(CARD_S)
        super().pipe_file(path, value, mode, **options)


class SlowStates(LocalFileSystem):  # type: ignore[misc] # as above
    """Files of this machine behind a line on which the second file of a checkpoint takes its time."""

    protocol = "slowstates"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        """Write a file."""
        if path.endswith("state.json"):
            time.sleep(float(os.environ.get(STATE_S, "0")))
        super().pipe_file(path, value, mode, **options)
